// Counters, errors, and names of what ran.
// In: calls of the other files. Out: counters and names, read from Python (card_counters.py).
#include "card.h"

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>

static thread_local Status last_error = cudaSuccess;

Status fail(Status status) {
  last_error = status;
  return status;
}

void complain(const char* what) { fprintf(stderr, "[fake card] %s\n", what); }

extern const bool names_are_kept = getenv("FAKE_NAMES") != nullptr;
static std::mutex names_lock;
static std::unordered_map<std::string, long>& times_by_name() {
  static auto* times = new std::unordered_map<std::string, long>;
  return *times;
}

void count_name(const std::string& name) {
  if (!names_are_kept) return;
  std::lock_guard<std::mutex> guard(names_lock);
  times_by_name()[name]++;
}

extern "C" {

Counters* fake_counters() { return &counters(); }

void fake_reset() {
  auto* first = reinterpret_cast<std::atomic<long>*>(&counters());
  for (auto* one = first; one != counters().bytes_now; ++one) *one = 0;
  for (int k = 0; k < most_devices; k++) counters().bytes_peak[k] = counters().bytes_now[k].load();
  std::lock_guard<std::mutex> guard(names_lock);
  times_by_name().clear();
}

void fake_write_names(const char* path) {
  std::lock_guard<std::mutex> guard(names_lock);
  FILE* file = fopen(path, "w");
  if (!file) return;
  for (auto& pair : times_by_name()) fprintf(file, "%ld\t%s\n", pair.second, pair.first.c_str());
  fclose(file);
}

Status cudaGetLastError() {
  Status status = last_error;
  last_error = cudaSuccess;
  return status;
}

Status cudaPeekAtLastError() { return last_error; }

const char* cudaGetErrorString(Status status) {
  static thread_local char text[64];
  switch (status) {
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated: return "operation failed due to a previous error during capture";
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    default: snprintf(text, sizeof text, "error %d of the stand-in", (int)status); return text;
  }
}

const char* cudaGetErrorName(Status status) { return cudaGetErrorString(status); }

// A function that nobody has modelled: stubs.cpp, which is made at build time, calls this.
// Libraries' functions that compute are counted by what their names say.
int fake_stub(const char* name) {
  auto has = [name](const char* part) { return strstr(name, part) != nullptr; };
  bool is_cublas = !strncmp(name, "cublas", 6), is_cudnn = !strncmp(name, "cudnn", 5);
  bool computes = !(has("Set") || has("Get") || has("Create") || has("Destroy") || has("Init") ||
                    has("Check"));
  if (is_cublas && computes) {
    counters().blas++;
  } else if (is_cudnn && computes) {
    (has("Convolution") ? counters().convolutions
     : has("BatchNorm") ? counters().batch_norms
                        : counters().dnn_others)++;
  } else {
    if (!is_cublas && !is_cudnn) counters().unknown++;
    return 0;
  }
  add_node();
  count_name(name);
  return 0;
}
}
