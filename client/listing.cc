#include "client/listing.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/result.h"
#include "client/limits.h"
#include "client/options.h"

namespace doozer::client {

Listing::Listing(Session& session, ListRequest request, Each each, Then<int64_t> then)
    : session_(session),
      request_(std::move(request)),
      each_(std::move(each)),
      then_(std::move(then)),
      window_(kListWindowMin) {}

void Listing::start(Session& session, ListRequest request, Each each, Then<int64_t> then) {
  const std::shared_ptr<Listing> listing(
      new Listing(session, std::move(request), std::move(each), std::move(then)));
  if (listing->request_.options.revision > 0) {
    listing->revision_ = listing->request_.options.revision;
    listing->pump();
  } else {
    listing->learn_revision();
  }
}

uint64_t Listing::deadline() const {
  return deadline_us(session_.clock().now_us(), request_.options.timeout,
                     session_.options().request_timeout);
}

void Listing::learn_revision() {
  const bool local = request_.options.local;
  session_.start({.call = {.verb = Verb::rev},
                  .consistency = local ? Consistency::monotonic : Consistency::required,
                  .deadline_us = deadline(),
                  .then = [self = shared_from_this()](Result<Answer> answer) {
                    if (!answer) {
                      std::string what = std::string(verb_name(self->request_.verb)) + " " +
                                         quote(self->request_.path);
                      self->finish(fail(with_context(std::move(answer).error(), what)));
                      return;
                    }
                    // Not older than what this client has seen: the question bore min_rev.
                    self->revision_ = answer->rev;
                    if (self->revision_ <= 0) {
                      // Nothing was ever written: there is no revision to ask for.
                      self->revision_ = 0;
                      self->end_ = 0;
                      self->deliver();
                      return;
                    }
                    self->pump();
                  }});
}

/// Keeps the window full.
void Listing::pump() {
  while (then_ && next_offset_ < end_ && next_offset_ - delivered_ < window_) {
    if (next_offset_ >= static_cast<int64_t>(kListEntriesMax)) {
      finish(fail(Code::too_large,
                  "more than " + std::to_string(kListEntriesMax) + " entries (kListEntriesMax)"));
      return;
    }
    ask(next_offset_++);
  }
}

void Listing::ask(int64_t offset) {
  const OperationId id =
      session_.start({.call = {.verb = request_.verb,
                               .path = request_.path,
                               .rev = revision_,
                               .offset = static_cast<int32_t>(offset)},
                      .deadline_us = deadline(),
                      .then = [self = shared_from_this(), offset](Result<Answer> answer) {
                        self->take(offset, std::move(answer));
                      }});
  outstanding_[offset] = id;
}

void Listing::take(int64_t offset, Result<Answer> result) {
  outstanding_.erase(offset);
  if (!then_) return;
  if (result) {
    early_.emplace(offset, std::move(*result));
  } else if (result.error().code == Code::range) {
    end_ = std::min(end_, offset);
  } else {
    finish(fail(std::move(result).error()));
    return;
  }
  deliver();
}

void Listing::deliver() {
  const std::shared_ptr<Listing> self = shared_from_this();
  while (then_ && !early_.empty() && early_.begin()->first == delivered_) {
    Answer answer = std::move(early_.begin()->second);
    early_.erase(early_.begin());
    ++delivered_;
    window_ = std::min<int64_t>(window_ + 1, kListWindowMax);
    if (!each_(std::move(answer))) {
      finish(revision_);
      return;
    }
  }
  if (!then_) return;
  if (delivered_ == end_) {
    // What is outstanding lies past the end and will be answered RANGE soon: no need to cancel it.
    outstanding_.clear();
    finish(revision_);
    return;
  }
  pump();
}

void Listing::finish(Result<int64_t> outcome) {
  const std::shared_ptr<Listing> self = shared_from_this();
  Then<int64_t> then = std::move(then_);
  then_ = {};
  std::map<int64_t, OperationId> outstanding = std::move(outstanding_);
  outstanding_.clear();
  for (const auto& [offset, id] : outstanding) session_.cancel(id);
  then(std::move(outcome));
}

}  // namespace doozer::client
