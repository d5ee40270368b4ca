// Every event from a position on, in order, none left out, none twice, over any number of
// connections. One WAIT at a time; what a broken connection left unanswered is asked again from the
// same (revision, sub).
//
// Several events of one revision: each answer tells in `len` how many more follow and leaves a
// continuation at the connection, which the next WAIT at revision + 1 takes. Two watches of one
// glob on one connection may take each other's; `len` tells, and then the event is asked for by
// counting
// (`offset`) instead.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "client/session.h"

namespace doozer::client {

/// `sub`: how many matching events of the revision came before. Errors: corrupt (unknown flags).
Result<Event> to_event(const Answer& answer, int64_t sub);

class Watcher final : public std::enable_shared_from_this<Watcher> {
 public:
  /// Events, then at most one error, which is the last call. May cancel or pause from inside.
  using Handler = UniqueFunction<void(Result<Event>)>;

  /// `from.revision` 0: what happens after now; below 0: from the first. The session must outlive
  /// the watcher's last operation (Session::close()).
  static std::shared_ptr<Watcher> start(Session& session, std::string glob, Position from,
                                        Handler handler);

  /// If the position is not known yet ("now"), `then` hears it before the first event.
  void on_beginning(UniqueFunction<void(Position)> then) { beginning_ = std::move(then); }
  /// The handler will not be called again.
  void cancel();
  /// After pause() at most what is under way is heard; resume() goes on.
  void pause() { paused_ = true; }
  void resume();
  /// The first position not yet given to the handler.
  Position position() const { return next_; }

 private:
  Watcher(Session& session, std::string glob, Position from, Handler handler);
  void ask();
  void ask_revision();
  void take(const Answer& answer);
  void end(Error error);
  enum class Judgement : uint8_t { deliver, stale, gap };
  Judgement judge(const Answer& answer);

  // Fixed after construction.
  Session& session_;
  const std::string glob_;

  Handler handler_;
  UniqueFunction<void(Position)> beginning_;
  Position next_;
  int64_t in_revision_ = 0;    ///< matching events of next_.revision; 0: not known
  uint64_t continues_on_ = 0;  ///< the connection that holds our continuation; 0: none
  size_t stale_ = 0;           ///< answers in a row from before next_
  Consistency consistency_ = Consistency::preferred;  ///< of finding out what "now" is
  OperationId operation_ = 0;
  bool asking_ = false;
  bool paused_ = false;
  bool over_ = false;
};

}  // namespace doozer::client
