#include "sim/workload_library.h"

#include <utility>

#include "base/check.h"
#include "base/types.h"

namespace doozer::sim::workload {
namespace {

constexpr int64_t kDirectoryRevision = -2;  // as STAT tells it

Options options_of(const Shared& shared, std::vector<std::string> servers) {
  const WorkloadOptions& given = shared.options;
  Options options;
  if (!shared.cluster.empty()) {
    options.cluster_id = Identity::from_bytes(shared.cluster).to_string();
  }
  options.addresses = std::move(servers);
  options.request_timeout = Duration(given.give_up_us);
  options.silence_max = Duration(given.give_up_us);
  options.connect_timeout = Duration(given.give_up_us / 4);
  options.backoff_min = Duration(20'000);
  options.backoff_max = Duration(500'000);
  return options;
}

/// What an error says of an operation. Of a write that was sent the library says unknown_outcome;
/// these others come from its own side, before anything was sent.
Outcome outcome_of(Code code, bool write) {
  if (code == Code::unknown_outcome) return write ? Outcome::unknown : Outcome::failed;
  const bool own = code == Code::timed_out || code == Code::closed || code == Code::refused ||
                   code == Code::conflict || code == Code::unsupported;
  return own ? Outcome::failed : Outcome::refused;
}

}  // namespace

LibraryAccess::LibraryAccess(Shared& shared, const ClientHost& host, uint64_t client, uint64_t seed,
                             std::vector<std::string> servers)
    : shared_(shared), host_(host), client_(client), session_(++shared.sessions) {
  auto core =
      client::Core::make(*host.clock, *host.net, options_of(shared, std::move(servers)), seed);
  CHECK(core.has_value());
  core_ = std::move(*core);
}

void LibraryAccess::perform(Request request, Done done) {
  Op op = request.op;
  op.client = client_;
  op.session = session_;
  op.invoked_us = host_.clock->now_us();
  if (op.kind == Action::set) {
    op.value = value_tag(request.value);
    op.length = request.value.size();
  }
  if (!is_write(op.kind) && op.at_rev == 0) op.min_rev = core_->connection().revision_seen;
  const size_t id = shared_.history.ops.size();
  shared_.history.ops.push_back(op);
  if (is_write(op.kind)) {
    write(id, std::move(request), std::move(done));
  } else {
    read(id, op, std::move(done));
  }
}

template <typename T, typename Fill>
client::Then<T> LibraryAccess::ending(size_t id, Done done, Fill fill) {
  return [this, id, done = std::move(done), fill](Result<T> result) mutable {
    if (result) {
      if constexpr (std::is_void_v<T>) {
        fill(shared_.op(id));
      } else {
        fill(shared_.op(id), std::move(*result));
      }
      finish(id, nullptr, done);
    } else {
      finish(id, &result.error(), done);
    }
  };
}

void LibraryAccess::finish(size_t id, const Error* error, Done& done) {
  Op& op = shared_.op(id);
  op.server = core_->connection().address;
  if (error != nullptr) op.code = error->code;
  shared_.complete(id, host_,
                   error == nullptr ? Outcome::ok : outcome_of(error->code, is_write(op.kind)));
  // A copy: the callback may begin another operation, which moves the history's.
  const Op copy = shared_.op(id);
  done(copy);
}

void LibraryAccess::write(size_t id, Request request, Done done) {
  const Op& op = request.op;
  const auto nothing = [](Op&) {};
  if (op.kind == Action::set) {
    core_->set(op.path, std::move(request.value), op.cas, {},
               ending<int64_t>(id, std::move(done),
                               [](Op& into, int64_t revision) { into.revision = revision; }));
  } else if (op.kind == Action::del) {
    core_->del(op.path, op.cas, {}, ending<void>(id, std::move(done), nothing));
  } else {
    core_->nop({}, ending<void>(id, std::move(done), nothing));
  }
}

void LibraryAccess::read(size_t id, const Op& op, Done done) {
  ReadOptions options;
  options.revision = op.at_rev;
  options.local = !op.linearizable;
  switch (op.kind) {
    case Action::get:
      core_->get(op.path, options, ending<File>(id, std::move(done), [](Op& into, File file) {
                   into.revision = file.revision;
                   into.value = value_tag(file.value);
                 }));
      return;
    case Action::stat:
      core_->stat(op.path, options, ending<Stat>(id, std::move(done), [](Op& into, Stat stat) {
                    into.revision =
                        stat.kind == Stat::Kind::directory ? kDirectoryRevision : stat.revision;
                    into.length = static_cast<uint64_t>(stat.length);
                  }));
      return;
    case Action::walk:
      core_->walk(op.path, options, ending<Files>(id, std::move(done), [](Op& into, Files files) {
                    into.revision = files.revision;
                    for (File& file : files.files) {
                      into.listed.push_back({.name = std::move(file.path),
                                             .revision = file.revision,
                                             .value = value_tag(file.value)});
                    }
                  }));
      return;
    case Action::getdir:
      core_->ls(op.path, options,
                ending<Listing>(id, std::move(done), [](Op& into, Listing listing) {
                  into.revision = listing.revision;
                  for (std::string& name : listing.names) {
                    into.listed.push_back({.name = std::move(name)});
                  }
                }));
      return;
    case Action::rev:
      core_->rev(options, ending<int64_t>(id, std::move(done), [](Op& into, int64_t revision) {
                   into.revision = revision;
                 }));
      return;
    case Action::set:
    case Action::del:
    case Action::nop: UNREACHABLE();
  }
}

}  // namespace doozer::sim::workload
