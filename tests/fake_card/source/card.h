// What the files of the stand-in share: counters, errors, devices and streams.
// In: nothing. Out: declarations only. It stands alone so that each other file is about one concern.
//
// Only types are taken from CUDA's headers (driver_types.h), never its functions' prototypes: these
// differ between CUDA 12 and 13, and the stand-in must build for both.
#pragma once
#include <driver_types.h>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <string>

typedef cudaError_t Status;

constexpr int most_devices = 16;

// Read by card_counters.py, in this order; a std::atomic<long> lies in memory as a long does.
struct Counters {
  std::atomic<long> launches;        // kernels of PyTorch and of libraries that bring their own
  std::atomic<long> blas;            // calls of cuBLAS and cuBLASLt that compute
  std::atomic<long> convolutions;    // calls of cuDNN
  std::atomic<long> batch_norms;     // calls of cuDNN
  std::atomic<long> dnn_others;      // calls of cuDNN that compute something else
  std::atomic<long> graph_launches;  // replays of captured graphs
  std::atomic<long> copies_in;       // host to device
  std::atomic<long> copies_out;      // device to host
  std::atomic<long> copies_within;   // device to device
  std::atomic<long> fills;           // cudaMemset
  std::atomic<long> bytes_in;
  std::atomic<long> bytes_out;
  std::atomic<long> stream_waits;  // the host waits for a stream
  std::atomic<long> device_waits;  // the host waits for a whole device
  std::atomic<long> event_waits;   // the host waits for an event
  std::atomic<long> mallocs;       // segments that the caching allocator asks for
  std::atomic<long> frees;
  std::atomic<long> refusals;  // requests for which a card had too little memory
  std::atomic<long> unknown;                  // calls of functions that nobody has modelled
  std::atomic<long> bytes_now[most_devices];  // of this process, by card of the machine
  std::atomic<long> bytes_peak[most_devices];
};

// ledger.cpp
Counters& counters();                             // of this process
long bytes_of_all(int device);                    // what living processes hold of a card

// counters.cpp
Status fail(Status status);                       // remembered as CUDA's last error of the thread
void complain(const char* what);                  // a line on stderr that tests look for
extern const bool names_are_kept;                 // FAKE_NAMES is set: kernels are counted by name
void count_name(const std::string& name);         // of a kernel or a library's function

// devices.cpp
int n_devices();                                  // those that CUDA_VISIBLE_DEVICES leaves
int current_device();
int physical_device(int visible);                 // which card of the machine it is
size_t total_memory();                            // of each card, bytes

// streams.cpp
bool is_capturing(cudaStream_t stream);
bool any_capture();
void add_node();                                  // to the graph that is being captured
Status refuse_in_capture(const char* what, cudaStream_t stream);
Status refuse_in_any_capture(const char* what);
