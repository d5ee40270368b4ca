#include "core/procedures.h"

#include <algorithm>
#include <limits>
#include <string>

#include "base/bytes.h"
#include "core/path.h"

namespace doozer::core {

namespace {

constexpr int64_t kClobber = -1;
constexpr int64_t kDirectoryRevision = -2;  // what a directory counts as where revisions compare

std::string about(std::string_view path) { return "path " + quote(path); }

tl::unexpected<Error> mismatch(std::string_view path, int64_t given, int64_t has) {
  return fail(Code::revision_mismatch, about(path) + ": revision " + std::to_string(has) +
                                           " is not at most " + std::to_string(given));
}

bool passes(int64_t given, int64_t has) { return given == kClobber || given >= has; }

bool is_directory(const State& state, const Node& node) {
  return &node == &state.tree.root() ||
         (node.directory() != nullptr && node.directory()->count() > 0);
}

/// Refuses a new file at a good path if a file stands above it. Looks no further up than the first
/// living directory: nothing but directories can stand above that.
Result<void> check_above(const State& state, std::string_view path) {
  for (std::string_view above = parent_path(path);; above = parent_path(above)) {
    const Node* node = state.tree.find(above);
    if (node != nullptr && node->file() != nullptr) {
      return fail(Code::not_directory, about(path) + ": " + quote(above) + " is a file");
    }
    if (node != nullptr && is_directory(state, *node)) {
      return {};
    }
  }
}

tl::unexpected<Error> directory_error(std::string_view path, int64_t revision) {
  if (revision < kDirectoryRevision) {
    return mismatch(path, revision, kDirectoryRevision);
  }
  return fail(Code::is_directory, about(path) + " is a directory");
}

tl::unexpected<Error> slot_error(std::string_view path, std::string_view why) {
  return fail(Code::other, about(path) + ": " + std::string(why));
}

/// A client may create an empty slot, write a slot empty, delete it, or write the value that is
/// there, and never lose the last filled one. `value` is null for a DEL.
Result<void> check_slot(const State& state, std::string_view path, const Version* old,
                        const std::string_view* value) {
  const bool filled = old != nullptr && old->size > 0;
  if (value != nullptr && !value->empty()) {
    if (old == nullptr || old->value() != *value) {
      return slot_error(path, "the cluster itself fills slots; a client may only empty one");
    }
    return {};
  }
  if (filled && state.tree.totals().filled_slots == 1) {
    return slot_error(path, "this is the last filled slot");
  }
  return {};
}

struct Context {
  State& state;
  Revision revision;
  bool system = false;
  std::vector<Change>& changes;
};

Result<void> do_set(Context& context, const SetView& set) {
  Tree& tree = context.state.tree;
  Node* node = tree.find(set.path);  // a path that is found is a good one
  const Version* file = node == nullptr ? nullptr : node->file();
  if (file == nullptr) {
    if (node != nullptr && is_directory(context.state, *node)) {
      return directory_error(set.path, set.revision);
    }
    if (!is_file_path(set.path)) {
      TRY(check_path(set.path));
      UNREACHABLE();  // only "/" is a path without being a file's, and it was found
    }
    TRY(check_above(context.state, set.path));
  }
  const int64_t has = file == nullptr ? 0 : file->modified.value();
  if (!passes(set.revision, has)) {
    return mismatch(set.path, set.revision, has);
  }
  if (is_slot_path(set.path)) {
    if (file == nullptr && tree.slots().size() >= kSlotsMax) {
      return slot_error(set.path, "there are " + std::to_string(kSlotsMax) + " slots, the limit");
    }
    if (!context.system) {
      TRY(check_slot(context.state, set.path, file, &set.value));
    }
  }
  context.changes.push_back(tree.put(node, set.path, set.value, context.revision));
  return {};
}

Result<void> do_del(Context& context, const DelView& del) {
  Tree& tree = context.state.tree;
  Node* node = tree.find(del.path);
  const Version* file = node == nullptr ? nullptr : node->file();
  if (file == nullptr) {
    if (node != nullptr && is_directory(context.state, *node)) {
      return directory_error(del.path, del.revision);
    }
    TRY(check_path(del.path));
    if (!passes(del.revision, 0)) {
      return mismatch(del.path, del.revision, 0);
    }
    return {};  // a missing file, also below a file: nothing to do
  }
  if (!passes(del.revision, file->modified.value())) {
    return mismatch(del.path, del.revision, file->modified.value());
  }
  if (!context.system && is_slot_path(del.path)) {
    TRY(check_slot(context.state, del.path, file, nullptr));
  }
  context.changes.push_back(tree.remove(*node, context.revision));
  return {};
}

Result<void> check_guard(const State& state, const GuardView& guard) {
  const Node* node = state.tree.find(guard.path);
  const Version* file = node == nullptr ? nullptr : node->file();
  const int64_t has = file == nullptr ? 0 : file->modified.value();
  bool holds = false;
  std::string_view words;
  switch (guard.compare) {
    case Compare::at_most:
      holds = has <= guard.revision;
      words = "at most ";
      break;
    case Compare::equal:
      holds = has == guard.revision;
      words = "equal to ";
      break;
    case Compare::exists:
      holds = file != nullptr;
      words = "there, and not ";
      break;
    case Compare::missing:
      holds = file == nullptr;
      words = "missing, which is ";
      break;
  }
  if (holds) {
    return {};
  }
  const bool presence = guard.compare == Compare::exists || guard.compare == Compare::missing;
  return fail(Code::revision_mismatch, about(guard.path) + ": guard: revision " +
                                           std::to_string(has) + " is not " + std::string(words) +
                                           std::to_string(presence ? 0 : guard.revision));
}

Result<void> check_distinct(const TransactionView& transaction) {
  std::vector<std::string_view> paths;
  paths.reserve(transaction.operations.size());
  for (const OperationView& operation : transaction.operations) {
    paths.push_back(operation.path);
  }
  std::sort(paths.begin(), paths.end());
  const auto twice = std::adjacent_find(paths.begin(), paths.end());
  if (twice != paths.end()) {
    return fail(Code::other, about(*twice) + " stands twice in one transaction");
  }
  return {};
}

/// Operations are done one by one, so that each sees those before it, and taken back if one is
/// refused.
Result<void> do_transaction(Context& context, const TransactionView& transaction) {
  for (const GuardView& guard : transaction.guards) {
    TRY(check_guard(context.state, guard));
  }
  TRY(check_distinct(transaction));
  for (const OperationView& operation : transaction.operations) {
    const Result<void> done =
        operation.set
            ? do_set(context,
                     {.path = operation.path, .revision = kClobber, .value = operation.value})
            : do_del(context, {.path = operation.path, .revision = kClobber});
    if (!done) {
      while (!context.changes.empty()) {
        context.state.tree.undo(*context.changes.back().node, context.revision);
        context.changes.pop_back();
      }
      return done;
    }
  }
  return {};
}

Result<void> run_body(Context& context, const BodyView& body) {
  State& state = context.state;
  if (const auto* set = std::get_if<SetView>(&body)) {
    return do_set(context, *set);
  }
  if (const auto* del = std::get_if<DelView>(&body)) {
    return do_del(context, *del);
  }
  if (const auto* transaction = std::get_if<TransactionView>(&body)) {
    return do_transaction(context, *transaction);
  }
  if (const auto* attach = std::get_if<AttachView>(&body)) {
    return do_attach(state, *attach, context.system, state.applied + 1);
  }
  if (const auto* reconcile = std::get_if<ReconcileView>(&body)) {
    return do_reconcile(state, *reconcile, context.system, context.revision, context.changes);
  }
  if (const auto* raise = std::get_if<RaiseVersionView>(&body)) {
    return do_raise_version(state, *raise, context.system);
  }
  CHECK(std::holds_alternative<NopView>(body));
  context.changes.push_back({});
  return {};
}

}  // namespace

Result<void> run_procedure(State& state, const CommandView& command, std::vector<Change>& changes) {
  CHECK(changes.empty());
  Context context{.state = state,
                  .revision = state.revision + 1,
                  .system = command.envelope.principal == kSystemPrincipal,
                  .changes = changes};
  TRY(run_body(context, command.body));
  if (!context.system) {
    mark_removed(state, changes);
  }
  return {};
}

}  // namespace doozer::core
