#include "core/membership.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/bytes.h"

namespace doozer::core {

namespace {

tl::unexpected<Error> refuse(std::string_view path, std::string_view why) {
  return fail(Code::other, "path " + quote(path) + ": " + std::string(why));
}

Result<void> check_system(bool system, std::string_view what) {
  if (!system) {
    return fail(Code::other, std::string(what) + " is a command of the cluster itself");
  }
  return {};
}

constexpr size_t kIdentityTextBytes = 16;

/// Whom a slot's value names, if it is an identity at all.
std::optional<Identity> named_by(std::string_view value) {
  if (value.size() != kIdentityTextBytes) {
    return {};
  }
  const Result<Identity> identity = Identity::parse(value);
  return identity && !identity->none() ? std::optional<Identity>(*identity) : std::nullopt;
}

/// Makes room for one entry. There are more entries than slots: one is in none.
void forget_one(State& state) {
  std::set<Identity> seated;
  for (const auto& [name, node] : state.tree.slots()) {
    if (const auto identity = named_by(node->file()->value())) {
      seated.insert(*identity);
    }
  }
  const Member* oldest = nullptr;
  for (const auto& [identity, member] : state.members.entries()) {
    if (!seated.contains(identity) &&
        (oldest == nullptr || member.registered < oldest->registered)) {
      oldest = &member;
    }
  }
  CHECK(oldest != nullptr);
  const Identity gone = oldest->identity;
  state.members.erase(gone);
}
static_assert(kRegisterMax > kSlotsMax);

/// Each slot named once, there, and unchanged; each identity known.
Result<void> check_updates(const State& state, const ReconcileView& reconcile) {
  std::set<std::string_view> paths;
  for (const SlotUpdateView& update : reconcile.updates) {
    if (!is_slot_path(update.path)) {
      return refuse(update.path, "this is no slot");
    }
    if (!paths.insert(update.path).second) {
      return refuse(update.path, "this slot is named twice");
    }
    const Node* node = state.tree.find(update.path);
    const Version* file = node == nullptr ? nullptr : node->file();
    const int64_t has = file == nullptr ? 0 : file->modified.value();
    if (has != update.revision) {
      return fail(Code::revision_mismatch, "path " + quote(update.path) + ": revision " +
                                               std::to_string(has) + " is not " +
                                               std::to_string(update.revision));
    }
    if (file == nullptr) {
      return refuse(update.path, "there is no such slot");
    }
    if (!update.identity.none() && state.members.find(update.identity) == nullptr) {
      return refuse(update.path, update.identity.to_string() + " is not in the register");
    }
  }
  return {};
}

/// What the slots hold afterwards: somebody, and nobody twice.
Result<void> check_outcome(const State& state, const ReconcileView& reconcile) {
  std::map<std::string_view, const SlotUpdateView*> updates;
  for (const SlotUpdateView& update : reconcile.updates) {
    updates.emplace(update.path, &update);
  }
  bool filled = false;
  std::set<Identity> seated;
  for (const auto& [name, node] : state.tree.slots()) {
    const std::string_view value = node->file()->value();
    std::optional<Identity> identity = named_by(value);
    bool stays = !value.empty();
    if (const auto update = updates.find(node->key()); update != updates.end()) {
      identity = update->second->identity;
      stays = !identity->none();
    }
    filled = filled || stays;
    if (stays && identity && !seated.insert(*identity).second) {
      return refuse(node->key(), identity->to_string() + " would be in two slots");
    }
  }
  if (!filled) {
    return fail(Code::other, "no slot would be filled any more");
  }
  return {};
}

}  // namespace

Result<void> do_attach(State& state, const AttachView& attach, bool system, Index index) {
  TRY(check_system(system, "attach"));
  Member member{.identity = attach.identity,
                .incarnation = attach.incarnation,
                .cluster_version = attach.cluster_version,
                .address = std::string(attach.address),
                .removed = false,
                .registered = index};
  if (const Member* known = state.members.find(attach.identity)) {
    if (attach.incarnation < known->incarnation) {
      return fail(Code::other, "attach: incarnation " + std::to_string(attach.incarnation.value()) +
                                   " of " + attach.identity.to_string() + " is lower than " +
                                   std::to_string(known->incarnation.value()));
    }
    member.removed = known->removed && attach.incarnation == known->incarnation;
  } else if (state.members.size() == kRegisterMax) {
    forget_one(state);
  }
  state.members.put(member);
  return {};
}

Result<void> do_reconcile(State& state, const ReconcileView& reconcile, bool system,
                          Revision revision, std::vector<Change>& changes) {
  TRY(check_system(system, "reconcile"));
  if (reconcile.updates.empty()) {
    return {};
  }
  TRY(check_updates(state, reconcile));
  TRY(check_outcome(state, reconcile));
  for (const SlotUpdateView& update : reconcile.updates) {
    std::string value;
    if (!update.identity.none()) {
      value = update.identity.to_string();
      Member member = *state.members.find(update.identity);
      member.removed = false;
      state.members.put(member);
    }
    Node* node = state.tree.find(update.path);
    changes.push_back(state.tree.put(node, update.path, value, revision));
  }
  return {};
}

Result<void> do_raise_version(State& state, const RaiseVersionView& raise, bool system) {
  TRY(check_system(system, "raise_version"));
  CHECK(raise.version <= kClusterVersion);
  state.cluster_version = std::max(state.cluster_version, raise.version);
  return {};
}

void mark_removed(State& state, const std::vector<Change>& changes) {
  for (const Change& change : changes) {
    if (change.node == nullptr || !is_slot_path(change.node->key())) {
      continue;
    }
    const Version* before = change.version->older;
    const bool empty_now = !change.version->live() || change.version->size == 0;
    if (!empty_now || before == nullptr || !before->live()) {
      continue;
    }
    const std::optional<Identity> identity = named_by(before->value());
    const Member* known = identity ? state.members.find(*identity) : nullptr;
    if (known != nullptr) {
      Member member = *known;
      member.removed = true;
      state.members.put(member);
    }
  }
}

}  // namespace doozer::core
