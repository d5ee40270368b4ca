#include "base/probe.h"

#include <mutex>

namespace doozer {
namespace {

struct Registry {
  std::mutex mutex;
  std::vector<const Probe*> probes;
};

Registry& registry() {
  static Registry instance;
  return instance;
}

}  // namespace

Probe::Probe(std::string_view name) : name_(name) {
  const std::scoped_lock lock(registry().mutex);
  registry().probes.push_back(this);
}

std::vector<const Probe*> Probe::all() {
  const std::scoped_lock lock(registry().mutex);
  return registry().probes;
}

uint64_t Probe::reached(std::string_view name) {
  uint64_t count = 0;
  for (const Probe* probe : all()) {
    if (probe->name() == name) count += probe->count();
  }
  return count;
}

}  // namespace doozer
