// Reads everything at the end: the last revision, all changes from the first one on at each server,
// all files; and says how far each watch must have come.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/glob.h"
#include "sim/workload_watchers.h"

namespace doozer::sim::workload {

class Auditor {
 public:
  struct Reader {
    ClientHost host;
    uint64_t client = 0;
  };
  /// `hosts`: one for the whole, and one for each server, in their order. `watchers` are borrowed.
  Auditor(Shared& shared, const std::vector<Reader>& readers, std::vector<WatchActor*> watchers,
          uint64_t patience_us);
  void start() { learn_revision(); }
  bool over() const { return over_; }

 private:
  /// All changes as one server tells them.
  struct Server {
    std::unique_ptr<LibraryWatchActor> changes;
    bool listed = false;  ///< it has told its files as of the last revision
  };
  void again(void (Auditor::*step)());
  void learn_revision();
  void list();
  void read_servers();
  void list_server(size_t server);
  void look();
  bool complete();
  void learn_needs();
  void need(const std::string& path, int64_t revision);
  void finish();

  Shared& shared_;
  const std::vector<Reader> readers_;
  const std::vector<WatchActor*> watchers_;
  const uint64_t patience_us_;
  std::unique_ptr<LibraryAccess> access_;
  int64_t last_ = 0;  ///< the last revision
  uint64_t deadline_us_ = 0;
  uint64_t events_ = 0;  ///< heard by all watches up to the last look
  std::vector<Server> servers_;
  std::vector<core::Glob> globs_;  ///< by watcher
  std::vector<int64_t> needs_;     ///< by watcher: the last revision known to match
  std::vector<size_t> heard_;      ///< by stream: how many notes were looked at
  size_t answers_ = 0;             ///< how many operations were looked at
  bool over_ = false;
};

}  // namespace doozer::sim::workload
