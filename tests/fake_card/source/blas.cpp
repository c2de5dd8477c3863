// Functions of cuBLAS and cuBLASLt that give something back; all others are stubs, counted by name.
// In: calls of PyTorch. Out: handles that hold nothing, one algorithm without a workspace.
#include <cstdlib>
#include <cstring>

constexpr size_t n_object = 256, n_heuristic = 96;  // no object of the library is larger

extern "C" {

static int make(void** object) {
  *object = calloc(1, n_object);
  return 0;
}
int cublasCreate_v2(void** handle) { return make(handle); }
int cublasLtCreate(void** handle) { return make(handle); }
int cublasLtMatmulDescCreate(void** object, ...) { return make(object); }
int cublasLtMatrixLayoutCreate(void** object, ...) { return make(object); }
int cublasLtMatmulPreferenceCreate(void** object) { return make(object); }

static int zero(int* value) {
  *value = 0;
  return 0;
}
int cublasGetMathMode(void*, int* mode) { return zero(mode); }
int cublasGetPointerMode_v2(void*, int* mode) { return zero(mode); }

size_t cublasLtGetVersion() { return 130401; }

int cublasLtMatmulAlgoGetHeuristic(void*, void*, void*, void*, void*, void*, void*, int, void* result,
                                   int* n) {
  memset(result, 0, n_heuristic);
  *n = 1;
  return 0;
}
}
