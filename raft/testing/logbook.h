// A network's story as text: who stood, who voted, what was sent, cut, committed.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "raft/testing/network.h"

namespace doozer::raft {

/// One line of a message, such as "append 5..6 after 4/2, commit 4".
std::string describe(const Outgoing& message);

/// Writes a line for all that happens in a network, from now on.
class Logbook {
 public:
  /// `network` is borrowed and must outlive this. Appends without entries or a new commit index,
  /// and answers that say nothing new, are left out unless rounds() asks for them.
  explicit Logbook(Network& network);
  ~Logbook();
  Logbook(const Logbook&) = delete;
  Logbook& operator=(const Logbook&) = delete;

  void rounds(bool shown) { rounds_ = shown; }
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
  bool is_news(size_t from, const Send& send);
  void line(size_t n, const std::string& text);

  Network& network_;
  std::vector<Seen> seen_;
  bool rounds_ = false;
  std::map<std::pair<size_t, Identity>, std::string> last_said_;
  std::map<std::pair<size_t, Identity>, Index> last_commit_;
  std::string text_;
};

}  // namespace doozer::raft
