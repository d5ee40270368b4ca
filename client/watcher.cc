#include "client/watcher.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/probe.h"
#include "base/result.h"
#include "client/limits.h"

namespace doozer::client {

Result<Event> to_event(const Answer& answer, int64_t sub) {
  Event event;
  switch (answer.flags) {
    case static_cast<int32_t>(Event::Kind::nop): event.kind = Event::Kind::nop; break;
    case static_cast<int32_t>(Event::Kind::set): event.kind = Event::Kind::set; break;
    case static_cast<int32_t>(Event::Kind::del): event.kind = Event::Kind::del; break;
    default:
      return fail(Code::corrupt, "an event with unknown flags " + std::to_string(answer.flags));
  }
  event.path = answer.path;
  event.value = answer.value;
  event.position = {answer.rev, sub};
  event.more = answer.len;
  return event;
}

Watcher::Watcher(Session& session, std::string glob, Position from, Handler handler)
    : session_(session), glob_(std::move(glob)), handler_(std::move(handler)), next_(from) {
  if (next_.revision < 0) next_ = {1, 0};
}

std::shared_ptr<Watcher> Watcher::start(Session& session, std::string glob, Position from,
                                        Handler handler) {
  const std::shared_ptr<Watcher> watcher(
      new Watcher(session, std::move(glob), from, std::move(handler)));
  watcher->ask();
  return watcher;
}

void Watcher::cancel() {
  if (over_) return;
  over_ = true;
  const std::shared_ptr<Watcher> self = shared_from_this();
  session_.cancel(operation_);
}

void Watcher::resume() {
  if (!paused_) return;
  paused_ = false;
  ask();
}

void Watcher::ask() {
  if (asking_ || paused_ || over_) return;
  asking_ = true;
  if (next_.revision == 0) {
    ask_revision();
    return;
  }
  Operation operation;
  operation.call = {.verb = Verb::wait, .path = glob_, .rev = next_.revision};
  if (next_.sub > 0) {
    operation.call.offset = static_cast<int32_t>(std::min<int64_t>(next_.sub, INT32_MAX));
    operation.continues_on_link = continues_on_;
  }
  operation.then = [self = shared_from_this()](Result<Answer> answer) {
    self->asking_ = false;
    if (self->over_) return;
    if (answer) {
      self->take(*answer);
    } else {
      self->end(std::move(answer).error());
    }
  };
  operation_ = session_.start(std::move(operation));
}

/// "From now on": after everything that was acknowledged before the watch began, where the server
/// can tell.
void Watcher::ask_revision() {
  operation_ = session_.start({.call = {.verb = Verb::rev},
                               .consistency = consistency_,
                               .then = [self = shared_from_this()](Result<Answer> answer) {
                                 self->asking_ = false;
                                 if (self->over_) return;
                                 if (!answer && answer.error().code == Code::read_only &&
                                     self->consistency_ == Consistency::preferred) {
                                   // No majority: then from what this side knows.
                                   self->consistency_ = Consistency::monotonic;
                                   self->ask();
                                   return;
                                 }
                                 if (!answer) {
                                   self->end(std::move(answer).error());
                                   return;
                                 }
                                 self->next_ = {answer->rev + 1, 0};
                                 if (self->beginning_) self->beginning_(self->next_);
                                 self->ask();
                               }});
}

Watcher::Judgement Watcher::judge(const Answer& answer) {
  const bool continued = next_.sub > 0 && continues_on_ == answer.link;
  if (answer.rev < next_.revision) return Judgement::stale;
  if (answer.rev > next_.revision) {
    // Our revision had more matching events, so somebody else took our continuation.
    if (continued) return Judgement::gap;
    in_revision_ = int64_t{answer.len} + 1;
    next_ = {answer.rev, 0};
    return Judgement::deliver;
  }
  if (!continued) {
    in_revision_ = next_.sub + answer.len + 1;
    return Judgement::deliver;
  }
  const int64_t sub = in_revision_ - 1 - answer.len;
  if (sub == next_.sub) return Judgement::deliver;
  return Judgement::gap;
}

void Watcher::take(const Answer& answer) {
  switch (judge(answer)) {
    case Judgement::deliver: break;
    case Judgement::stale:
      // A continuation that another wait for this glob left behind. Each is taken once.
      PROBE("client.watch_stale_event");
      if (++stale_ > kStaleEventsMax) {
        end({Code::corrupt, "watch " + quote(glob_) + ": the server tells events before revision " +
                                std::to_string(next_.revision) + " again and again"});
        return;
      }
      ask();
      return;
    case Judgement::gap:
      PROBE("client.watch_foreign_continuation");
      continues_on_ = 0;
      ask();
      return;
  }
  stale_ = 0;
  Result<Event> event = to_event(answer, next_.sub);
  if (!event) {
    end(std::move(event).error());
    return;
  }
  next_ = event->next();
  continues_on_ = event->more > 0 ? answer.link : 0;
  handler_(std::move(event));
  ask();
}

void Watcher::end(Error error) {
  over_ = true;
  handler_(fail(
      with_context(std::move(error), "watch from revision " + std::to_string(next_.revision))));
}

}  // namespace doozer::client
