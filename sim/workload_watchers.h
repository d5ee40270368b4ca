// Clients that watch: through the library, and by raw WAITs. Both change servers, are slow at
// times, and go on where they were.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "sim/workload_actors.h"
#include "sim/workload_library.h"

namespace doozer::sim::workload {

class WatchActor : public Actor {
 public:
  WatchActor(Shared& shared, const ClientHost& host, uint64_t client, std::string glob)
      : Actor(shared, host, client), glob_(std::move(glob)) {}
  const std::string& glob() const { return glob_; }
  /// The stream's number in the history; nullopt until the watch has begun.
  std::optional<size_t> stream() const { return stream_; }
  /// It has heard an event of this revision or a later one, or begins later.
  bool has_passed(int64_t revision) const { return position_.revision > revision; }

 protected:
  void begin_stream(int64_t from);
  void note_event(const Event& event);
  void note(WatchNote::Kind kind, const std::string& server = "");
  uint64_t now_us() const { return host_.clock->now_us(); }

  const std::string glob_;
  Position position_ = {};  ///< the next to be heard

 private:
  std::optional<size_t> stream_;
};

/// From now on, or from the first; half of them pause at times.
class LibraryWatchActor final : public WatchActor {
 public:
  /// `servers`: to be asked; `from`: 0 is "from now on".
  LibraryWatchActor(Shared& shared, const ClientHost& host, uint64_t client, std::string glob,
                    int64_t from, std::vector<std::string> servers, bool lively);
  ~LibraryWatchActor() override;
  void start() override;
  LibraryAccess& access() { return *access_; }

 private:
  void watch();
  void take(Result<Event> event);
  void move_on();
  void pause_for_a_while();
  /// After the history was lost: from the newest on.
  void skip();

  const int64_t from_;
  const std::vector<std::string> servers_;
  const bool lively_;  ///< pauses, and begins anew at times
  std::unique_ptr<LibraryAccess> access_;
  std::shared_ptr<client::Watcher> watcher_;
  uint64_t watches_ = 0;
};

/// At times its connection is so full of what it does not read that an event finds no room there.
class RawWatchActor final : public WatchActor, public RawLinkEvents {
 public:
  RawWatchActor(Shared& shared, const ClientHost& host, uint64_t client, std::string glob);
  void start() override;

 private:
  void on_up() override;
  void on_answer(const wire::ResponseView& answer) override;
  void on_down() override { connect_later(); }
  void connect_later();
  void connect();
  void ask();
  void take_event(const wire::ResponseView& answer);
  void crowd();

  std::unique_ptr<RawLink> link_;
  uint64_t links_ = 0;
  int32_t asked_ = 0;       ///< the tag of what was asked last; other answers are not read
  bool learning_ = false;   ///< asks for the newest revision, the history was lost
  bool continued_ = false;  ///< this connection holds the rest of position_.revision
};

}  // namespace doozer::sim::workload
