// What a process has used of the processors, for the load generators.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace doozer::bench {

/// CPU time of all threads that the process has, in microseconds, from /proc; 0 if it is gone.
inline uint64_t process_cpu_us(int pid) {
  uint64_t total_ns = 0;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(tasks, error)) {
    std::ifstream stat(entry.path() / "schedstat");
    uint64_t on_cpu_ns = 0;
    if (stat >> on_cpu_ns) total_ns += on_cpu_ns;
  }
  return total_ns / 1000;
}

}  // namespace doozer::bench
