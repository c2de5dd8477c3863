// libcuda.so.1: the few functions of the driver that torch's own libraries link.
// In: calls of PyTorch. Out: a context that always is there. All others are stubs, made at build time.
extern "C" {

int cuInit(unsigned) { return 0; }

int cuDevicePrimaryCtxGetState(unsigned, unsigned* flags, int* is_active) {
  if (flags) *flags = 0;
  *is_active = 1;
  return 0;
}

int cuCtxGetCurrent(void** context) {
  *context = (void*)8;
  return 0;
}
}
