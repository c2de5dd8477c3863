// The counters of all processes of a command, in a file that they share.
// In: FAKE_LEDGER, the file; without it a process knows its own counters alone. Out: its counters, and
// what living processes hold of a card together. What a process counted stays there after its end, also
// after a kill, so that a test can read it (card_counters.py: `read_ledger`).
#include "card.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

constexpr int most_processes = 1024;

struct Entry {
  std::atomic<long> process;  // its id; 0 where nobody has taken the entry
  Counters counters;
};

static Entry own;              // where there is no file
static Entry* ledger = nullptr;
static Entry* entry = nullptr;  // of this process

static Entry* open_ledger(const char* path) {
  size_t n_bytes = most_processes * sizeof(Entry);
  int file = open(path, O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, n_bytes)) {
    complain("FAKE_LEDGER cannot be written");
    abort();
  }
  void* start = mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  return start == MAP_FAILED ? nullptr : (Entry*)start;
}

static Entry* take_entry() {
  if (!ledger) return &own;
  for (Entry* free = ledger; free < ledger + most_processes; free++) {
    long nobody = 0;
    if (free->process.compare_exchange_strong(nobody, getpid())) return free;
  }
  complain("FAKE_LEDGER is full");
  abort();
}

static void take_another() { entry = take_entry(); }  // in a child that was forked

static Entry* begin() {
  if (const char* path = getenv("FAKE_LEDGER")) ledger = open_ledger(path);
  pthread_atfork(nullptr, nullptr, take_another);
  return take_entry();
}

Counters& counters() {
  static bool has_begun = (entry = begin(), true);
  (void)has_begun;
  return entry->counters;
}

// Whether a process holds its memory still: a killed one does until its end, a zombie does not.
static bool is_living(long process) {
  char path[64], text[256] = "";
  snprintf(path, sizeof path, "/proc/%ld/stat", process);
  FILE* file = fopen(path, "r");
  if (!file) return false;
  size_t n = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[n] = 0;
  const char* after_name = strrchr(text, ')');
  return after_name && strlen(after_name) > 2 && !strchr("ZX", after_name[2]);
}

long bytes_of_all(int device) {
  long sum = counters().bytes_now[device];
  for (Entry* other = ledger; other && other < ledger + most_processes && other->process; other++) {
    long n_bytes = other->counters.bytes_now[device];
    if (other != entry && n_bytes && is_living(other->process)) sum += n_bytes;
  }
  return sum;
}
