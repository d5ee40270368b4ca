// The leader's side of forwarded writes: what it has taken of each server in its term. It takes
// only sequence = last + 1 of an origin, so that what it passes over is certainly not in its log.
// Pure; the replica proposes what take() hands out.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "server/peer_message.h"

namespace doozer::server {

class ForwardDesk {
 public:
  /// May `bytes` more be given to the log? Errors: busy, no_space: told to the writer.
  using Admit = std::function<Result<void>(size_t bytes, bool may_use_reserve)>;
  /// Gives a payload to the log.
  using Propose = std::function<void(std::string payload)>;

  /// This server leads `term` from now on: nothing was taken of anybody.
  void begin_term(Term term);
  Term term() const { return term_; }

  /// Takes what comes next of the origin's. Repeats are ignored, a gap ends it; both are answered.
  /// Payloads whose tag is not the origin's are refused.
  void take(const Identity& origin, Incarnation incarnation, const Forward& forward,
            const Admit& admit, const Propose& propose);

  /// What is to be told, by origin in order; empties the list.
  std::vector<std::pair<Identity, ForwardAck>> acknowledgements();
  bool has_acknowledgements() const { return due_; }

 private:
  struct Origin {
    Incarnation incarnation;
    uint64_t taken_to = 0;
    bool due = false;
    std::vector<Refusal> refused;  ///< of what was taken since the last acknowledgement
  };

  Term term_;
  std::map<Identity, Origin> origins_;
  bool due_ = false;
};

}  // namespace doozer::server
