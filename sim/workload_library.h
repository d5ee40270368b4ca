// A client that is the library that ships, without its threads: client/core.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/core.h"
#include "sim/workload_shared.h"

namespace doozer::sim::workload {

class LibraryAccess final : public Access {
 public:
  LibraryAccess(Shared& shared, const ClientHost& host, uint64_t client, uint64_t seed,
                std::vector<std::string> servers);
  void perform(Request request, Done done) override;
  bool whole_listings() const override { return true; }
  client::Core& core() { return *core_; }

 private:
  void write(size_t id, Request request, Done done);
  void read(size_t id, const Op& op, Done done);
  /// Takes the result into the operation by `fill` and ends it.
  template <typename T, typename Fill>
  client::Then<T> ending(size_t id, Done done, Fill fill);
  void finish(size_t id, const Error* error, Done& done);

  Shared& shared_;
  const ClientHost host_;
  const uint64_t client_;
  const uint64_t session_;
  std::unique_ptr<client::Core> core_;
};

}  // namespace doozer::sim::workload
