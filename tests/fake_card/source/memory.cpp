// Memory of the cards, which is memory of the host, and copies.
// In: requests of PyTorch's caching allocator. Out: addresses, true sums and peaks by device, and
// "out of memory" where a device's sum, over all processes, would pass FAKE_MEM_GB.
//
// A large copy or fill is counted and not made: results are garbage in any case, and pages of the host
// that nobody writes cost nothing.
#include "card.h"

#include <sys/mman.h>

#include <cstring>
#include <map>
#include <mutex>

constexpr size_t largest_copy = 16 << 20, largest_fill = 1 << 20, page = 4096;

struct Block {
  size_t n_bytes;
  int device;   // of the machine
  int visible;  // as this process numbers it
};
typedef std::map<char*, Block> Blocks;
static std::mutex lock;
static Blocks on_device, pinned;

static const Block* block_of(const Blocks& blocks, const void* address) {
  auto after = blocks.upper_bound((char*)address);
  if (after == blocks.begin()) return nullptr;
  --after;
  return (char*)address < after->first + after->second.n_bytes ? &after->second : nullptr;
}

static char* map_bytes(size_t n) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* start = mmap(nullptr, n, PROT_READ | PROT_WRITE, flags, -1, 0);
  return start == MAP_FAILED ? nullptr : (char*)start;
}

static bool is_on_device(const void* address) {
  std::lock_guard<std::mutex> guard(lock);
  return block_of(on_device, address);
}

static bool is_pinned(const void* address) {
  std::lock_guard<std::mutex> guard(lock);
  return block_of(pinned, address);
}

static void count_copy(const void* to, const void* from, size_t n) {
  bool into = is_on_device(to), out_of = is_on_device(from);
  if (into && out_of) {
    counters().copies_within++;
  } else if (into) {
    counters().copies_in++;
    counters().bytes_in += n;
  } else if (out_of) {
    counters().copies_out++;
    counters().bytes_out += n;
  }
}

extern "C" {

Status cudaMalloc(void** address, size_t n) {
  int device = physical_device(current_device());
  std::lock_guard<std::mutex> guard(lock);
  n = n ? (n + page - 1) & ~(page - 1) : page;
  if (bytes_of_all(device) + n > total_memory()) {
    counters().refusals++;
    return fail(cudaErrorMemoryAllocation);
  }
  char* start = map_bytes(n);
  if (!start) return fail(cudaErrorMemoryAllocation);
  on_device[start] = {n, device, current_device()};
  counters().mallocs++;
  long now = counters().bytes_now[device] += n;
  if (now > counters().bytes_peak[device]) counters().bytes_peak[device] = now;
  *address = start;
  return cudaSuccess;
}

Status cudaFree(void* address) {
  std::lock_guard<std::mutex> guard(lock);
  auto block = on_device.find((char*)address);
  if (block == on_device.end()) return cudaSuccess;
  counters().bytes_now[block->second.device] -= block->second.n_bytes;
  counters().frees++;
  munmap(block->first, block->second.n_bytes);
  on_device.erase(block);
  return cudaSuccess;
}

Status cudaMallocAsync(void** address, size_t n, cudaStream_t) { return cudaMalloc(address, n); }
Status cudaFreeAsync(void* address, cudaStream_t) { return cudaFree(address); }
Status cudaMallocManaged(void** address, size_t n, unsigned) { return cudaMalloc(address, n); }
Status cudaGetSymbolAddress(void** address, const void*) { return cudaMalloc(address, 1 << 20); }

Status cudaMemGetInfo(size_t* free, size_t* total) {
  *total = total_memory();
  *free = *total - bytes_of_all(physical_device(current_device()));
  return cudaSuccess;
}

Status cudaHostAlloc(void** address, size_t n, unsigned) {
  n = n ? n : page;
  char* start = map_bytes(n);
  if (!start) return fail(cudaErrorMemoryAllocation);
  std::lock_guard<std::mutex> guard(lock);
  pinned[start] = {n, 0, 0};
  *address = start;
  return cudaSuccess;
}

Status cudaMallocHost(void** address, size_t n) { return cudaHostAlloc(address, n, 0); }

Status cudaFreeHost(void* address) {
  std::lock_guard<std::mutex> guard(lock);
  auto block = pinned.find((char*)address);
  if (block == pinned.end()) return cudaSuccess;
  munmap(address, block->second.n_bytes);
  pinned.erase(block);
  return cudaSuccess;
}

Status cudaHostRegister(void* address, size_t n, unsigned) {
  std::lock_guard<std::mutex> guard(lock);
  pinned[(char*)address] = {n, 0, 0};
  return cudaSuccess;
}

Status cudaHostUnregister(void* address) {
  std::lock_guard<std::mutex> guard(lock);
  pinned.erase((char*)address);
  return cudaSuccess;
}

Status cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
  memset(attributes, 0, sizeof *attributes);
  std::lock_guard<std::mutex> guard(lock);
  if (const Block* block = block_of(on_device, address)) {
    attributes->type = cudaMemoryTypeDevice;
    attributes->device = block->visible;
    attributes->devicePointer = (void*)address;
  } else if (block_of(pinned, address)) {
    attributes->type = cudaMemoryTypeHost;
    attributes->hostPointer = attributes->devicePointer = (void*)address;
  } else {
    attributes->type = cudaMemoryTypeUnregistered;
  }
  return cudaSuccess;
}

Status cudaMemcpyAsync(void* to, const void* from, size_t n, cudaMemcpyKind, cudaStream_t stream) {
  if (is_capturing(stream)) {
    bool is_within = is_on_device(to) && is_on_device(from);
    if (!is_within && !is_pinned(to) && !is_pinned(from)) complain("a pageable copy in a capture");
    add_node();
  }
  count_copy(to, from, n);
  if (n <= largest_copy) memmove(to, from, n);
  return cudaSuccess;
}

Status cudaMemcpy(void* to, const void* from, size_t n, cudaMemcpyKind) {
  if (Status status = refuse_in_any_capture("cudaMemcpy")) return status;
  count_copy(to, from, n);
  counters().stream_waits++;
  memmove(to, from, n);
  return cudaSuccess;
}

Status cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t n, cudaStream_t) {
  count_copy(to, from, n);
  if (n <= largest_copy) memmove(to, from, n);
  return cudaSuccess;
}

Status cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                         size_t height, cudaMemcpyKind, cudaStream_t) {
  count_copy(to, from, width * height);
  for (size_t row = 0; row < height; row++)
    memmove((char*)to + row * to_pitch, (char*)from + row * from_pitch, width);
  return cudaSuccess;
}

Status cudaMemset(void* address, int value, size_t n) {
  counters().fills++;
  memset(address, value, n);
  return cudaSuccess;
}

Status cudaMemsetAsync(void* address, int value, size_t n, cudaStream_t stream) {
  counters().fills++;
  if (is_capturing(stream)) add_node();
  else if (n <= largest_fill) memset(address, value, n);
  return cudaSuccess;
}

Status cudaMemcpyToSymbol(const void*, const void*, size_t, size_t, cudaMemcpyKind) {
  return cudaSuccess;
}
}
