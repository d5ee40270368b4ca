// A whole directory or walk at ONE revision: learns the revision, then asks for the entries offset
// by offset, many at a time, until RANGE. Others may write meanwhile and connections may break;
// what is given out is the state as of that revision, complete and in order.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "client/session.h"

namespace doozer::client {

struct ListRequest {
  Verb verb = Verb::walk;  ///< walk or getdir
  std::string path = {};
  ReadOptions options = {};  ///< the time limit is for each request, not for the whole
};

class Listing final : public std::enable_shared_from_this<Listing> {
 public:
  /// Entries in order; false ends the listing there.
  using Each = UniqueFunction<bool(Answer)>;

  /// Begins at once; lives by itself until `then` has heard the revision, or the error, once.
  static void start(Session& session, ListRequest request, Each each, Then<int64_t> then);

 private:
  Listing(Session& session, ListRequest request, Each each, Then<int64_t> then);
  void learn_revision();
  void pump();
  void ask(int64_t offset);
  void take(int64_t offset, Result<Answer> result);
  void deliver();
  void finish(Result<int64_t> outcome);
  uint64_t deadline() const;

  // Fixed after construction.
  Session& session_;
  const ListRequest request_;

  Each each_;
  Then<int64_t> then_;  ///< empty once told
  int64_t revision_ = 0;
  int64_t next_offset_ = 0;  ///< to be asked
  int64_t delivered_ = 0;    ///< given to each_
  int64_t end_ = INT64_MAX;  ///< the lowest offset answered RANGE
  int64_t window_;
  std::map<int64_t, Answer> early_;             ///< answered before their turn
  std::map<int64_t, OperationId> outstanding_;  ///< by offset
};

}  // namespace doozer::client
