#include "cmd/doozer_inspect_print.h"

#include <cinttypes>
#include <cstdio>

#include "base/bytes.h"
#include "base/check.h"
#include "base/units.h"
#include "cmd/doozer_json.h"
#include "core/command.h"
#include "core/write_tag.h"

namespace doozer::inspect {
namespace {

using cli::JsonObject;

std::string number(uint64_t value) { return std::to_string(value); }

int64_t wide(uint64_t value) { return static_cast<int64_t>(value); }

std::string hex(const Hash128& hash) {
  char text[40];
  std::snprintf(text, sizeof text, "%016" PRIx64 "%016" PRIx64, hash.high, hash.low);
  return text;
}

/// The elements of a JSON array, already rendered.
std::string array(const std::vector<std::string>& elements) {
  std::string out = "[";
  for (const std::string& element : elements) {
    if (out.size() > 1) out += ',';
    out += element;
  }
  return out + ']';
}

std::string array_of_texts(const std::vector<std::string>& texts) {
  std::vector<std::string> quoted;
  quoted.reserve(texts.size());
  for (const std::string& text : texts) quoted.push_back(cli::json_string(text));
  return array(quoted);
}

std::string_view kind_name(raft::EntryKind kind) {
  switch (kind) {
    case raft::EntryKind::command: return "command";
    case raft::EntryKind::noop: return "noop";
    case raft::EntryKind::configuration: return "configuration";
    case raft::EntryKind::forwarded: return "forwarded";
  }
  return "unknown";
}

// --- Commands

struct Change {
  const char* what;
  std::string_view path;
  std::optional<int64_t> revision;
  std::optional<std::string_view> value;
  std::string detail = {};  // of the cluster's own commands
};

std::vector<Change> changes_of(const core::BodyView& body) {
  std::vector<Change> changes;
  if (const auto* set = std::get_if<core::SetView>(&body)) {
    changes.push_back({"set", set->path, set->revision, set->value});
  } else if (const auto* del = std::get_if<core::DelView>(&body)) {
    changes.push_back({"del", del->path, del->revision, {}});
  } else if (const auto* transaction = std::get_if<core::TransactionView>(&body)) {
    for (const core::GuardView& guard : transaction->guards) {
      changes.push_back({"guard", guard.path, guard.revision, {}});
    }
    for (const core::OperationView& operation : transaction->operations) {
      if (operation.set) {
        changes.push_back({"set", operation.path, {}, operation.value});
      } else {
        changes.push_back({"del", operation.path, {}, {}});
      }
    }
  } else if (const auto* attach = std::get_if<core::AttachView>(&body)) {
    changes.push_back({"attach", {}, {}, {}, attach->identity.to_string()});
    changes.back().detail += " incarnation " + std::to_string(attach->incarnation.value()) +
                             " version " + std::to_string(attach->cluster_version) + " address " +
                             quote(attach->address);
  } else if (const auto* reconcile = std::get_if<core::ReconcileView>(&body)) {
    for (const core::SlotUpdateView& update : reconcile->updates) {
      const std::string holder = update.identity.none() ? "empty" : update.identity.to_string();
      changes.push_back({"reconcile", update.path, update.revision, {}, holder});
    }
  } else if (const auto* raise = std::get_if<core::RaiseVersionView>(&body)) {
    changes.push_back({"raise_version", {}, {}, {}, std::to_string(raise->version)});
  } else {
    changes.push_back({"nop", {}, {}, {}});
  }
  return changes;
}

std::string command_text(const std::vector<Change>& changes, bool values) {
  std::string out;
  for (const Change& change : changes) {
    out += out.empty() ? " " : "; ";
    out += change.what;
    if (!change.path.empty()) out += ' ' + quote(change.path);
    if (change.revision) out += " revision " + std::to_string(*change.revision);
    if (!change.detail.empty()) out += ' ' + change.detail;
    if (change.value) out += ' ' + number(change.value->size()) + " bytes";
    if (change.value && values) out += ' ' + quote(*change.value);
  }
  return out;
}

std::string command_json(const std::vector<Change>& changes, bool values) {
  std::vector<std::string> elements;
  for (const Change& change : changes) {
    JsonObject object;
    object.text("op", change.what);
    if (!change.path.empty()) object.text("path", change.path);
    if (change.revision) object.number("revision", *change.revision);
    if (!change.detail.empty()) object.text("detail", change.detail);
    if (change.value) object.number("bytes", wide(change.value->size()));
    if (change.value && values) object.bytes(*change.value);
    elements.push_back(object.str());
  }
  return array(elements);
}

// --- Records

struct RecordPrinter {
  const storage::Record& record;
  const PrintOptions& options;

  std::string print(std::string_view type, const std::string& text, JsonObject& object) const {
    if (options.json) return object.str();
    char head[64];
    std::snprintf(head, sizeof head, "%10" PRIu64 " %8zu  %-13.*s ", record.offset, record.size,
                  static_cast<int>(type.size()), type.data());
    return head + text;
  }
  JsonObject begin(std::string_view type) const {
    JsonObject object;
    object.number("offset", wide(record.offset)).number("size", wide(record.size));
    object.text("record", type);
    return object;
  }
  std::string operator()(const storage::Marker& marker) const {
    JsonObject object = begin("marker");
    object.number("synced_to", wide(marker.synced_to)).number("batch_bytes", marker.batch_bytes);
    object.number("last_index", wide(marker.last_index.value()));
    return print("marker",
                 "synced to " + number(marker.synced_to) + ", batch of " +
                     number(marker.batch_bytes) + " bytes, last index " +
                     number(marker.last_index.value()),
                 object);
  }
  std::string operator()(const storage::DurableState& state) const {
    JsonObject object = begin("hard_state");
    object.number("term", wide(state.raft.term.value()));
    object.text("vote", state.raft.vote.none() ? "" : state.raft.vote.to_string());
    object.number("commit", wide(state.raft.commit.value()));
    object.number("doubtful_to", wide(state.doubtful_to.value()));
    std::string text =
        "term " + number(state.raft.term.value()) + ", commit " + number(state.raft.commit.value());
    if (!state.raft.vote.none()) text += ", vote for " + state.raft.vote.to_string();
    if (state.doubtful_to.value() > 0) {
      text += ", doubtful to " + number(state.doubtful_to.value());
    }
    return print("hard_state", text, object);
  }
  std::string operator()(const storage::Truncate& truncate) const {
    JsonObject object = begin("truncate");
    object.number("from", wide(truncate.from.value()));
    return print("truncate", "from index " + number(truncate.from.value()), object);
  }
  std::string operator()(const storage::EntryView& entry) const {
    JsonObject object = begin(kind_name(entry.kind));
    object.number("index", wide(entry.index.value())).number("term", wide(entry.term.value()));
    object.number("bytes", wide(entry.payload.size()));
    std::string text = "index " + number(entry.index.value()) + " term " +
                       number(entry.term.value()) + ", " + number(entry.payload.size()) + " bytes";
    std::string_view bytes = entry.payload;
    const bool is_command =
        entry.kind == raft::EntryKind::command ||
        (entry.kind == raft::EntryKind::forwarded && core::take_tag(bytes).has_value());
    if (is_command && options.commands) {
      const auto command = core::decode_command(bytes);
      if (command) {
        const std::vector<Change> changes = changes_of(command->body);
        object.raw("changes", command_json(changes, options.values));
        text += ':' + command_text(changes, options.values);
      } else {
        object.text("error", command.error().message);
        text += ": no command: " + command.error().message;
      }
    }
    return print(kind_name(entry.kind), text, object);
  }
};

JsonObject snapshot_object(const SnapshotFinding& snapshot) {
  JsonObject object;
  object.text("file", snapshot.path).number("bytes", wide(snapshot.file_bytes));
  if (snapshot.header) {
    object.number("index", wide(snapshot.header->point.index.value()));
    object.number("term", wide(snapshot.header->point.term.value()));
    object.number("revision", snapshot.header->revision.value());
    object.text("cluster", snapshot.header->cluster.to_string());
    object.text("identity", snapshot.header->identity.to_string());
  }
  object.number("chunks", wide(snapshot.totals.chunks));
  object.number("image_bytes", wide(snapshot.totals.raw_bytes));
  if (snapshot.damage.empty()) {
    object.number("files", wide(snapshot.files));
  } else {
    object.text("damage", snapshot.damage);
  }
  return object;
}

std::string range(Index first, Index last) {
  return number(first.value()) + ".." + number(last.value());
}

std::string segment_text(const storage::SegmentInspection& segment) {
  std::string out = segment.path + "  " + format_size(segment.file_bytes);
  if (!segment.begun) return out + "  prepared, empty";
  if (!segment.header) out += "  no good header";
  if (segment.entries > 0) {
    out += "  entries " + range(segment.first_entry, segment.last_entry);
  } else {
    out += "  no entries";
  }
  return out + "  " + number(segment.batches) + " batches, " + number(segment.records) +
         " records, synced to offset " + number(segment.synced_to);
}

JsonObject segment_object(const storage::SegmentInspection& segment) {
  JsonObject object;
  object.text("file", segment.path).number("bytes", wide(segment.file_bytes));
  object.boolean("begun", segment.begun).boolean("header", segment.header.has_value());
  if (segment.header) {
    object.text("cluster", segment.header->header.cluster.to_string());
    object.text("identity", segment.header->header.identity.to_string());
  }
  object.number("batches", wide(segment.batches)).number("records", wide(segment.records));
  object.number("entries", wide(segment.entries));
  if (segment.entries > 0) {
    object.number("first_index", wide(segment.first_entry.value()));
    object.number("last_index", wide(segment.last_entry.value()));
  }
  object.number("synced_to", wide(segment.synced_to));
  std::vector<std::string> damages;
  for (const storage::Damage& damage : segment.damages) damages.push_back(to_string(damage));
  object.raw("damages", array_of_texts(damages));
  if (segment.torn) object.text("torn", to_string(*segment.torn));
  return object;
}

Result<std::vector<std::string>> records_of(env::Disk& disk, uint64_t segment,
                                            const std::optional<storage::Ownership>& owner,
                                            const PrintOptions& options) {
  std::vector<std::string> lines;
  if (!options.records) return lines;
  storage::RecordVisitor visit = [&](const storage::Record& record, size_t, uint32_t) {
    lines.push_back(print_record(record, options));
  };
  TRY(storage::inspect_segment(disk, {.number = segment, .owner = owner, .ends_at = {}}, visit));
  return lines;
}

}  // namespace

std::string print_record(const storage::Record& record, const PrintOptions& options) {
  return std::visit(RecordPrinter{record, options}, record.body);
}

Result<std::string> print_segment(env::Disk& disk, const storage::SegmentInspection& segment,
                                  const std::optional<storage::Ownership>& owner,
                                  const PrintOptions& options) {
  TRY_ASSIGN(const auto records, records_of(disk, segment.number, owner, options));
  if (options.json) {
    JsonObject object = segment_object(segment);
    if (options.records) object.raw("record_list", array(records));
    return object.str();
  }
  std::string out = segment_text(segment) + '\n';
  for (const std::string& record : records) out += record + '\n';
  for (const storage::Damage& damage : segment.damages) {
    out += "  damaged: " + to_string(damage) + '\n';
  }
  if (segment.torn) out += "  torn: " + to_string(*segment.torn) + '\n';
  return out;
}

std::string print_snapshot(const SnapshotFinding& snapshot, const PrintOptions& options) {
  if (options.json) return snapshot_object(snapshot).str();
  std::string out = snapshot.path + "  " + format_size(snapshot.file_bytes);
  if (snapshot.header) {
    out += "  index " + number(snapshot.header->point.index.value()) + " term " +
           number(snapshot.header->point.term.value()) + " revision " +
           std::to_string(snapshot.header->revision.value());
  }
  if (!snapshot.damage.empty()) return out + "\n  damaged: " + snapshot.damage + '\n';
  return out + "  " + number(snapshot.files) + " files in " + number(snapshot.totals.chunks) +
         " chunks\n";
}

Result<std::string> print_directory(env::Disk& disk, const DirectoryFinding& found,
                                    const PrintOptions& options) {
  std::vector<std::string> segments;
  for (const storage::SegmentInspection& segment : found.log.segments) {
    TRY_ASSIGN(std::string text, print_segment(disk, segment, found.owner, options));
    segments.push_back(std::move(text));
  }
  std::vector<std::string> snapshots;
  for (const SnapshotFinding& snapshot : found.snapshots) {
    snapshots.push_back(print_snapshot(snapshot, options));
  }
  if (options.json) {
    JsonObject object;
    object.text("cluster", found.owner ? found.owner->cluster.to_string() : "");
    object.text("identity", found.owner ? found.owner->identity.to_string() : "");
    object.number("incarnation", wide(found.incarnation.value()));
    object.raw("segments", array(segments)).raw("snapshots", array(snapshots));
    if (found.state) {
      object.number("index", wide(found.state->index.value()));
      object.number("revision", found.state->revision.value());
      object.number("files", wide(found.files));
      object.text("chain_digest", hex(found.state->chain));
      object.text("state_digest", hex(found.state->state));
    }
    object.raw("notes", array_of_texts(found.notes));
    object.raw("damages", array_of_texts(found.damages));
    object.boolean("good", found.good());
    return object.str() + '\n';
  }
  std::string out;
  if (found.owner) {
    out += "cluster " + found.owner->cluster.to_string() + "  server " +
           found.owner->identity.to_string() + "  started " + number(found.incarnation.value()) +
           " times\n";
  }
  for (const std::string& segment : segments) out += segment;
  for (const std::string& snapshot : snapshots) out += snapshot;
  if (found.state) {
    out += "state  index " + number(found.state->index.value()) + "  revision " +
           std::to_string(found.state->revision.value()) + "  " + number(found.files) +
           " files  chain digest " + hex(found.state->chain) + "  state digest " +
           hex(found.state->state) + '\n';
  }
  for (const std::string& note : found.notes) out += "note: " + note + '\n';
  for (const std::string& damage : found.damages) out += "damaged: " + damage + '\n';
  out += found.good() ? "all of it checks\n"
                      : "to save what is intact: doozer-inspect salvage DIR NEWDIR\n";
  return out;
}

}  // namespace doozer::inspect
