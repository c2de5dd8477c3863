// Kernels, which do nothing: they are counted, with FAKE_NAMES=1 by name, and their grids are checked.
// With FAKE_HOLD a process waits at its first launch until that file is there.
// In: registrations when torch is loaded, launches. Out: counters, "invalid configuration" as CUDA says.
#include "card.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <vector>

struct Configuration {
  dim3 grid, block;
  size_t n_shared;
  cudaStream_t stream;
};
static thread_local std::vector<Configuration> configurations;

static std::mutex lock;
static std::unordered_map<const void*, const char*>& names() {
  static auto* by_function = new std::unordered_map<const void*, const char*>;
  return *by_function;
}

static bool is_possible(dim3 grid, dim3 block) {
  size_t n_threads = (size_t)block.x * block.y * block.z;
  return grid.x && grid.y && grid.z && grid.y <= 65535 && grid.z <= 65535 && n_threads &&
         n_threads <= 1024;
}

static bool wait_for_file() {
  const char* path = getenv("FAKE_HOLD");
  while (path && access(path, F_OK)) usleep(20000);
  return true;
}

static Status launch(const void* function, dim3 grid, dim3 block) {
  static bool is_let_go = wait_for_file();
  (void)is_let_go;
  if (!is_possible(grid, block)) {
    char text[128];
    snprintf(text, sizeof text, "invalid configuration: grid (%u, %u, %u), block (%u, %u, %u)", grid.x,
             grid.y, grid.z, block.x, block.y, block.z);
    complain(text);
    return fail(cudaErrorInvalidConfiguration);
  }
  add_node();
  counters().launches++;
  if (names_are_kept) {
    std::lock_guard<std::mutex> guard(lock);
    auto name = names().find(function);
    count_name(name == names().end() ? "?" : name->second);
  }
  return cudaSuccess;
}

extern "C" {

void** __cudaRegisterFatBinary(void*) {
  static void* handle[1];
  return handle;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}

void __cudaRegisterFunction(void**, const char* function, char*, const char* name, int, void*, void*,
                            void*, void*, int*) {
  if (!names_are_kept) return;
  std::lock_guard<std::mutex> guard(lock);
  names()[function] = name;
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t n_shared, cudaStream_t stream) {
  configurations.push_back({grid, block, n_shared, stream});
  return 0;
}

Status __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* n_shared, void* stream) {
  Configuration last = configurations.back();
  configurations.pop_back();
  *grid = last.grid;
  *block = last.block;
  *n_shared = last.n_shared;
  *(cudaStream_t*)stream = last.stream;
  return cudaSuccess;
}

Status cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void**, size_t, cudaStream_t) {
  return launch(function, grid, block);
}

Status __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  *kernel = (cudaKernel_t)function;
  return cudaSuccess;
}

Status __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void**, size_t, cudaStream_t) {
  return launch(kernel, grid, block);
}

Status cudaLaunchKernelExC(const cudaLaunchConfig_t* configuration, const void* function, void**) {
  return launch(function, configuration->gridDim, configuration->blockDim);
}

Status cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  memset(attributes, 0, sizeof *attributes);
  attributes->maxThreadsPerBlock = 1024;
  attributes->numRegs = 32;
  attributes->binaryVersion = attributes->ptxVersion = 90;
  attributes->maxDynamicSharedSizeBytes = 232448;
  return cudaSuccess;
}

Status cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) { return cudaSuccess; }

Status cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* n, const void*, int, size_t) {
  *n = 2;
  return cudaSuccess;
}
Status cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* n, const void*, int, size_t,
                                                              unsigned) {
  *n = 2;
  return cudaSuccess;
}
}
