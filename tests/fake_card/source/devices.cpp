// The cards of the machine, and which of them a process sees.
// In: FAKE_GPUS (how many, default 1), FAKE_MEM_GB (memory of each, default 80), CUDA_VISIBLE_DEVICES,
// FAKE_DRIVER (11040: a driver that CUDA 13 finds too old). Out: counts, properties and attributes, those of an H100.
//
// CUDA_VISIBLE_DEVICES is read as CUDA reads it: once, numbers or names ("GPU-" and the beginning of
// a UUID), up to the first that does not exist. A card's UUID is its number in hexadecimal, thirty
// times the digit 0 and two of its own (fake_card.py: `name_of`).
#include "card.h"

#include <cstdlib>
#include <cstring>
#include <sstream>
#include <vector>

static int in_machine() {
  const char* given = getenv("FAKE_GPUS");
  int n = given ? atoi(given) : 1;
  return n < most_devices ? n : most_devices;
}

static std::string name_of(int device) {
  char text[48];
  snprintf(text, sizeof text, "00000000-0000-0000-0000-0000000000%02x", device);
  return text;
}

static int number_of(const std::string& word) {
  if (word.rfind("GPU-", 0) == 0 || word.rfind("MIG-", 0) == 0) {
    int match = -1;
    for (int k = 0; k < in_machine(); k++) {
      if (name_of(k).rfind(word.substr(4), 0) != 0) continue;
      if (match >= 0) return -1;  // the beginning of two names
      match = k;
    }
    return match;
  }
  char* end;
  long k = strtol(word.c_str(), &end, 10);
  return word.empty() || *end || k < 0 || k >= in_machine() ? -1 : (int)k;
}

static std::vector<int> read_visible() {
  std::vector<int> devices;
  const char* given = getenv("CUDA_VISIBLE_DEVICES");
  if (!given) {
    for (int k = 0; k < in_machine(); k++) devices.push_back(k);
    return devices;
  }
  std::stringstream words(given);
  for (std::string word; std::getline(words, word, ',');) {
    int k = number_of(word);
    if (k < 0) break;
    for (int other : devices)
      if (other == k) return {};  // named twice: CUDA then shows none
    devices.push_back(k);
  }
  return devices;
}

static const std::vector<int>& visible() {
  static auto* devices = new std::vector<int>(read_visible());
  return *devices;
}

static thread_local int device_of_thread = 0;
int n_devices() { return (int)visible().size(); }
int current_device() { return device_of_thread; }
int physical_device(int k) { return visible()[k]; }
size_t total_memory() {
  const char* given = getenv("FAKE_MEM_GB");
  return (size_t)((given ? atof(given) : 80.0) * 1e9);
}

extern "C" {

static int driver_version() {
  const char* given = getenv("FAKE_DRIVER");
  return given ? atoi(given) : CARD_CUDA_VERSION;
}

Status cudaGetDeviceCount(int* n) {
  *n = 0;
  if (driver_version() / 1000 < CARD_CUDA_VERSION / 1000) return fail(cudaErrorInsufficientDriver);
  *n = n_devices();
  return *n ? cudaSuccess : fail(cudaErrorNoDevice);
}

Status cudaGetDevice(int* device) {
  *device = device_of_thread;
  return cudaSuccess;
}

Status cudaSetDevice(int device) {
  if (device < 0 || device >= n_devices()) return fail(cudaErrorInvalidDevice);
  device_of_thread = device;
  return cudaSuccess;
}

Status cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  if (device < 0 || device >= n_devices()) return fail(cudaErrorInvalidDevice);
  memset(p, 0, sizeof *p);
  strcpy(p->name, "Stand-in for an H100");
  p->uuid.bytes[15] = (char)physical_device(device);
  p->pciBusID = 1 + physical_device(device);
  p->totalGlobalMem = total_memory();
  p->major = 9;
  p->multiProcessorCount = 132;
  p->warpSize = 32;
  p->maxThreadsPerBlock = p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
  p->maxThreadsDim[2] = 64;
  p->maxGridSize[0] = 2147483647;
  p->maxGridSize[1] = p->maxGridSize[2] = 65535;
  p->maxThreadsPerMultiProcessor = 2048;
  p->maxBlocksPerMultiProcessor = 32;
  p->regsPerBlock = p->regsPerMultiprocessor = 65536;
  p->sharedMemPerBlock = 49152;
  p->sharedMemPerBlockOptin = 232448;
  p->sharedMemPerMultiprocessor = 233472;
  p->totalConstMem = 65536;
  p->textureAlignment = 512;
  p->l2CacheSize = 50 << 20;
  p->memoryBusWidth = 5120;
  p->unifiedAddressing = p->managedMemory = p->concurrentKernels = p->cooperativeLaunch = 1;
  p->asyncEngineCount = 3;
  return cudaSuccess;
}

Status cudaGetDeviceProperties_v2(cudaDeviceProp* p, int device) {  // its name in CUDA 12
  return cudaGetDeviceProperties(p, device);
}

Status cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp p;
  if (Status status = cudaGetDeviceProperties(&p, device)) return status;
  switch ((int)attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = p.maxThreadsPerBlock; break;
    case cudaDevAttrMaxBlockDimX: *value = p.maxThreadsDim[0]; break;
    case cudaDevAttrMaxBlockDimY: *value = p.maxThreadsDim[1]; break;
    case cudaDevAttrMaxBlockDimZ: *value = p.maxThreadsDim[2]; break;
    case cudaDevAttrMaxGridDimX: *value = p.maxGridSize[0]; break;
    case cudaDevAttrMaxGridDimY: *value = p.maxGridSize[1]; break;
    case cudaDevAttrMaxGridDimZ: *value = p.maxGridSize[2]; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = p.sharedMemPerBlock; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = p.sharedMemPerBlockOptin; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = p.sharedMemPerMultiprocessor; break;
    case cudaDevAttrWarpSize: *value = p.warpSize; break;
    case cudaDevAttrMultiProcessorCount: *value = p.multiProcessorCount; break;
    case cudaDevAttrComputeCapabilityMajor: *value = p.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = p.minor; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = p.maxThreadsPerMultiProcessor; break;
    case cudaDevAttrMaxRegistersPerBlock: *value = p.regsPerBlock; break;
    case cudaDevAttrMaxRegistersPerMultiprocessor: *value = p.regsPerMultiprocessor; break;
    case cudaDevAttrMaxBlocksPerMultiprocessor: *value = p.maxBlocksPerMultiProcessor; break;
    case cudaDevAttrL2CacheSize: *value = p.l2CacheSize; break;
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrConcurrentKernels: *value = 1; break;
    default: *value = 0;
  }
  return cudaSuccess;
}

Status cudaRuntimeGetVersion(int* version) {
  *version = CARD_CUDA_VERSION;  // of the headers, such as 13020
  return cudaSuccess;
}

Status cudaDriverGetVersion(int* version) {
  *version = driver_version();
  return cudaSuccess;
}

Status cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  if (least) *least = 0;
  if (greatest) *greatest = -5;
  return cudaSuccess;
}

Status cudaDeviceGetPCIBusId(char* text, int n, int device) {
  snprintf(text, n, "0000:%02x:00.0", 1 + physical_device(device));
  return cudaSuccess;
}

Status cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 1;
  return cudaSuccess;
}

Status cudaDeviceEnablePeerAccess(int, unsigned) { return cudaSuccess; }

Status cudaDeviceSynchronize() {
  if (Status status = refuse_in_any_capture("cudaDeviceSynchronize")) return status;
  counters().device_waits++;
  return cudaSuccess;
}

// Functions of the driver that torch asks for by name. driver.cpp has those that it links.
static int driver_does_nothing(...) { return 0; }
static int driver_context_state(unsigned, unsigned* flags, int* is_active) {
  if (flags) *flags = 0;
  *is_active = 1;
  return 0;
}
static int driver_context(void** context) {
  *context = (void*)8;
  return 0;
}

Status cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned,
                                        unsigned long long, cudaDriverEntryPointQueryResult* result) {
  if (!strcmp(name, "cuDevicePrimaryCtxGetState")) *function = (void*)driver_context_state;
  else if (!strcmp(name, "cuCtxGetCurrent")) *function = (void*)driver_context;
  else *function = (void*)driver_does_nothing;
  if (result) *result = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}

Status cudaGetDriverEntryPoint(const char* name, void** function, unsigned long long flags,
                               cudaDriverEntryPointQueryResult* result) {
  return cudaGetDriverEntryPointByVersion(name, function, 0, flags, result);
}
}
