#include "client/testing/fake_server.h"

#include <algorithm>
#include <set>

namespace doozer::client {
namespace {

constexpr int32_t kFirstTag = 3;  // Link's own tags are below

int32_t verb_of(wire::Verb verb) { return static_cast<int32_t>(verb); }

}  // namespace

bool fake_match(std::string_view glob, std::string_view path) {
  if (glob.ends_with("**")) return path.starts_with(glob.substr(0, glob.size() - 2));
  if (glob.ends_with("/*")) {
    const std::string_view dir = glob.substr(0, glob.size() - 1);
    return path.starts_with(dir) && path.find('/', dir.size()) == std::string_view::npos;
  }
  return glob == path;
}

std::map<std::string, FakeStore::Held> FakeStore::at(int64_t revision) const {
  std::map<std::string, Held> files;
  for (int64_t r = 1; r <= revision && r <= this->revision(); ++r) {
    for (const Change& change : commits[static_cast<size_t>(r - 1)]) {
      if (change.flags == wire::kFlagSet) files[change.path] = {change.value, r};
      if (change.flags == wire::kFlagDel) files.erase(change.path);
    }
  }
  return files;
}

void FakeServer::on_open(FakePeer& peer) {
  peers_[&peer] = Peer{.peer = &peer, .number = ++connections_};
}

void FakeServer::on_close(FakePeer& peer) { peers_.erase(&peer); }

void FakeServer::on_bytes(FakePeer& peer, std::string_view bytes) {
  const auto it = peers_.find(&peer);
  if (it == peers_.end()) return;
  Peer& mine = it->second;
  mine.inbox.append(bytes);
  std::vector<std::string> answers;
  for (;;) {
    const Result<size_t> size = wire::frame_bytes(mine.inbox, wire::body_bytes_max(kValueBytesMax));
    if (!size) {
      peer.reset();
      return;
    }
    if (*size == 0 || mine.inbox.size() < *size) break;
    const std::string frame = mine.inbox.substr(wire::kHeadBytes, *size - wire::kHeadBytes);
    mine.inbox.erase(0, *size);
    const Result<wire::RequestView> view = wire::decode_request(frame);
    CHECK(view.has_value());
    Request request{*view, std::string(view->path.value_or("")),
                    std::string(view->value.value_or(""))};
    if (std::optional<std::string> answer = handle(mine, request)) {
      answers.push_back(std::move(*answer));
    }
    if (!peers_.contains(&peer)) return;
  }
  if (reversed) std::reverse(answers.begin(), answers.end());
  if (shuffle) {
    for (size_t i = answers.size(); i > 1; --i) {
      std::swap(answers[i - 1], answers[static_cast<size_t>(shuffle->below(i))]);
    }
  }
  std::string all;
  for (const std::string& one : answers) all += one;
  if (!all.empty()) peer.send(std::move(all));
  wake();
}

std::optional<std::string> FakeServer::handle(Peer& peer, const Request& request) {
  const wire::RequestView& view = request.view;
  if (view.tag.value_or(0) >= kFirstTag) {
    heard_.push_back({view.verb.value_or(0), request.path, view.rev, view.offset, view.mode,
                      view.min_rev, request.value, peer.number});
    if (on_request) on_request(heard_.back());
  }
  if (deaf) return std::nullopt;
  std::optional<std::string> answer;
  const int32_t verb = view.verb.value_or(0);
  if (verb == verb_of(wire::Verb::access)) {
    if (request.value == secret) peer.granted = true;
    answer = request.value == secret ? this->answer(request, {})
                                     : error(request, wire::ErrCode::other, "permission denied");
  } else if (!secret.empty() && !peer.granted && verb != verb_of(wire::Verb::rev) &&
             verb != verb_of(wire::Verb::self)) {
    answer = error(request, wire::ErrCode::other, "permission denied");
  } else if (verb == verb_of(wire::Verb::set) || verb == verb_of(wire::Verb::del) ||
             verb == verb_of(wire::Verb::nop)) {
    answer = write(request);
  } else {
    answer = read(peer, request);
  }
  if (silent) return std::nullopt;
  return answer;
}

std::optional<std::string> FakeServer::answer(const Request& request,
                                              wire::ResponseView response) const {
  response.tag = request.view.tag;
  if (extensions && request.view.mode) {
    response.store_rev = applied();
    response.cluster = cluster.view();
  }
  std::string frame;
  wire::append_response(response, frame);
  return frame;
}

std::optional<std::string> FakeServer::error(const Request& request, wire::ErrCode code,
                                             std::string_view detail) const {
  wire::ResponseView response;
  response.err_code = static_cast<int32_t>(code);
  if (!detail.empty()) response.err_detail = detail;
  return answer(request, response);
}

std::optional<std::string> FakeServer::write(const Request& request) {
  if (!writable) return error(request, wire::ErrCode::read_only);
  wire::ResponseView response;
  if (*request.view.verb == verb_of(wire::Verb::nop)) {
    store_->commit({{0, "/", ""}});
    return answer(request, response);
  }
  const auto files = store_->at(store_->revision());
  const auto it = files.find(request.path);
  const int64_t held = it == files.end() ? 0 : it->second.revision;
  const int64_t given = request.view.rev.value_or(0);
  if (given != -1 && given < held) return error(request, wire::ErrCode::rev_mismatch);
  if (*request.view.verb == verb_of(wire::Verb::set)) {
    response.rev = store_->set(request.path, request.value);
  } else if (held > 0) {
    store_->commit({{wire::kFlagDel, request.path, ""}});
  }
  return answer(request, response);
}

std::optional<std::string> FakeServer::read(Peer& peer, const Request& request) {
  const wire::RequestView& view = request.view;
  const int32_t verb = view.verb.value_or(0);
  const bool linearizable = extensions && (view.mode.value_or(0) & wire::kModeLinearizable) != 0;
  if (linearizable && !majority) return error(request, wire::ErrCode::read_only);
  wire::ResponseView response;
  if (verb == verb_of(wire::Verb::wait)) return wait(peer, request);
  // A lagging server finds out what was acknowledged before it answers, if it is asked to.
  const int64_t newest = linearizable ? store_->revision() : applied();
  if (extensions && !view.rev && view.min_rev.value_or(0) > newest) {
    peer.waits.push_back(request);
    return std::nullopt;
  }
  if (verb == verb_of(wire::Verb::rev)) {
    response.rev = newest;
    return answer(request, response);
  }
  if (verb == verb_of(wire::Verb::self)) {
    response.value = name;
    return answer(request, response);
  }
  if (verb == verb_of(wire::Verb::status) && extensions) {
    response.value = "{}";
    return answer(request, response);
  }
  const int64_t revision = view.rev ? std::max<int64_t>(1, *view.rev) : newest;
  if (view.rev && revision < oldest) return error(request, wire::ErrCode::too_late);
  if (revision > newest) {
    peer.waits.push_back(request);
    return std::nullopt;
  }
  if (verb == verb_of(wire::Verb::get) || verb == verb_of(wire::Verb::stat)) {
    const auto files = store_->at(revision);
    const auto it = files.find(request.path);
    response.rev = it == files.end() ? 0 : it->second.revision;
    const std::string value = it == files.end() ? "" : it->second.value;
    if (verb == verb_of(wire::Verb::get)) {
      response.value = value;
    } else {
      response.len = static_cast<int32_t>(value.size());
    }
    return answer(request, response);
  }
  if (verb == verb_of(wire::Verb::walk) || verb == verb_of(wire::Verb::getdir)) {
    return list(request, revision);
  }
  return error(request, wire::ErrCode::unknown_verb);
}

std::optional<std::string> FakeServer::list(const Request& request, int64_t revision) const {
  const auto files = store_->at(revision);
  const auto offset = static_cast<size_t>(request.view.offset.value_or(0));
  wire::ResponseView response;
  if (*request.view.verb == verb_of(wire::Verb::walk)) {
    size_t n = 0;
    for (const auto& [path, held] : files) {
      if (!fake_match(request.path, path) || n++ != offset) continue;
      response.path = path;
      response.value = held.value;
      response.rev = held.revision;
      response.flags = wire::kFlagSet;
      return answer(request, response);
    }
    return error(request, wire::ErrCode::range);
  }
  const std::string below = request.path == "/" ? "/" : request.path + "/";
  std::set<std::string> names;
  for (const auto& [path, held] : files) {
    if (!path.starts_with(below)) continue;
    names.insert(path.substr(below.size(), path.find('/', below.size()) - below.size()));
  }
  if (names.empty()) return error(request, wire::ErrCode::no_ent);
  if (offset >= names.size()) return error(request, wire::ErrCode::range);
  response.path = *std::next(names.begin(), static_cast<std::ptrdiff_t>(offset));
  return answer(request, response);
}

std::optional<std::string> FakeServer::wait(Peer& peer, const Request& request) {
  int64_t revision = std::max<int64_t>(1, request.view.rev.value_or(1));
  if (extensions && !request.view.offset) {
    const std::pair key(request.path, revision);
    const auto it = std::find_if(peer.continuations.begin(), peer.continuations.end(),
                                 [&key](const auto& one) { return one.first == key; });
    if (it != peer.continuations.end()) {
      const Position position = it->second;
      peer.continuations.erase(it);
      if (!forgets_continuations) return event(peer, request, position.revision, position.sub);
    }
  }
  if (revision < oldest) {
    return error(request, wire::ErrCode::too_late,
                 extensions ? "the oldest revision kept is " + std::to_string(oldest) : "");
  }
  const int64_t skip = extensions ? request.view.offset.value_or(0) : 0;
  return event(peer, request, revision, skip);
}

std::optional<std::string> FakeServer::event(Peer& peer, const Request& request, int64_t revision,
                                             int64_t skip) {
  for (int64_t r = revision; r <= applied(); ++r) {
    int64_t sub = 0;
    int64_t matching = 0;
    const auto& changes = store_->commits[static_cast<size_t>(r - 1)];
    for (const auto& change : changes) matching += fake_match(request.path, change.path) ? 1 : 0;
    for (const auto& change : changes) {
      if (!fake_match(request.path, change.path)) continue;
      if (r == revision && sub < skip) {
        ++sub;
        continue;
      }
      wire::ResponseView response;
      response.flags = change.flags;
      response.rev = r;
      response.path = change.path;
      response.value = change.value;
      const int64_t more = matching - sub - 1;
      if (extensions && more > 0) {
        response.len = static_cast<int32_t>(more);
        const auto at =
            newest_continuation_first ? peer.continuations.begin() : peer.continuations.end();
        peer.continuations.insert(at, {{request.path, r + 1}, {r, sub + 1}});
      }
      return answer(request, response);
    }
  }
  peer.waits.push_back(request);
  return std::nullopt;
}

void FakeServer::wake() {
  std::vector<FakePeer*> all;
  for (const auto& [peer, mine] : peers_) all.push_back(peer);
  std::sort(all.begin(), all.end(),
            [this](FakePeer* a, FakePeer* b) { return peers_.at(a).number < peers_.at(b).number; });
  for (FakePeer* peer : all) {
    Peer& mine = peers_.at(peer);
    std::vector<Request> waits = std::move(mine.waits);
    mine.waits.clear();
    for (const Request& request : waits) {
      const std::optional<std::string> answer = read(mine, request);
      if (answer && !silent && !deaf) peer->send(*answer);
    }
  }
}

size_t FakeServer::heard_of(wire::Verb verb) const {
  return static_cast<size_t>(std::count_if(heard_.begin(), heard_.end(), [verb](const Heard& one) {
    return one.verb == verb_of(verb);
  }));
}

size_t FakeServer::waiting() const {
  size_t count = 0;
  for (const auto& [peer, mine] : peers_) count += mine.waits.size();
  return count;
}

void FakeServer::end_all() {
  for (const auto& [peer, mine] : peers_) peer->end();
}

void FakeServer::send_all(const std::string& bytes) {
  for (const auto& [peer, mine] : peers_) peer->send(bytes);
}

}  // namespace doozer::client
