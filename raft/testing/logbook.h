// A network's story as text: who stood, who voted, what was sent, cut, committed.
#pragma once

#include <string>
#include <vector>

#include "raft/testing/network.h"

namespace doozer::raft {

/// One line of a message, such as "append 5..6 after 4/2, commit 4".
std::string describe(const Outgoing& message);

/// Writes a line for all that happens in a network, from now on.
class Logbook {
 public:
  /// `network` is borrowed and must outlive this. Heartbeats that change nothing are left out.
  explicit Logbook(Network& network);
  ~Logbook();
  Logbook(const Logbook&) = delete;
  Logbook& operator=(const Logbook&) = delete;

  /// A heading of the story.
  void say(const std::string& text);
  const std::string& text() const { return text_; }

 private:
  struct Seen {
    Role role = Role::follower;
    Term term;
    Index commit;
    Identity leader;
    Index configuration;
  };

  void on_send(size_t from, const Send& send);
  void on_step(size_t n, const Event& event, const Output& output);
  void changes(size_t n, const Output& output);
  void line(size_t n, const std::string& text);

  Network& network_;
  std::vector<Seen> seen_;
  std::string text_;
};

}  // namespace doozer::raft
