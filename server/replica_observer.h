// Whoever looks on while a replica works, for simulators and tests: it only listens.
#pragma once

#include "raft/core.h"

namespace doozer::server {

class ReplicaObserver {
 public:
  virtual ~ReplicaObserver() = default;
  /// A core that is about to take part.
  virtual void on_begin(const raft::Core& core) = 0;
  /// After each step of the core, before anything is done about it.
  virtual void on_step(const raft::Core& core, const raft::Output& output) = 0;
  /// After the machine has applied an entry.
  virtual void on_applied(const raft::Core& core, const raft::Entry& entry) = 0;
};

}  // namespace doozer::server
