// The offline reader finds what is damaged, never breaks on it, never blames a sound directory;
// what it salvages opens and holds what it said.
#include <gtest/gtest.h>

#include <set>

#include "cmd/doozer_inspect_print.h"
#include "cmd/doozer_inspect_read.h"
#include "cmd/doozer_inspect_salvage.h"
#include "sim/storage_harness.h"
#include "storage/bytes_disk.h"
#include "storage/snapshot_format.h"

namespace doozer::inspect {
namespace {

using sim::CrashKind;
using sim::LogModel;
using sim::Session;
using sim::SimDisk;

constexpr uint64_t kSeed = 3;

std::unique_ptr<Session> start(SimDisk& disk, LogModel& model) {
  auto session = Session::start(disk, model, kSeed);
  EXPECT_TRUE(session.has_value()) << (session ? "" : session.error().message);
  return session ? std::move(*session) : nullptr;
}

void add_entries(Session& session, size_t count, size_t bytes) {
  for (size_t i = 0; i < count; ++i) {
    session.append_set(bytes);
    if (i % 4 == 3) session.flush();
  }
  session.flush();
  ASSERT_TRUE(session.settle());
  session.commit_all();
}

/// Some segments, two snapshots, an overwritten tail; stopped after its last idle marker.
LogModel make_directory(SimDisk& disk, bool cut = true) {
  LogModel model;
  const auto session = start(disk, model);
  session->new_term();
  add_entries(*session, 40, 2'000);
  EXPECT_TRUE(session->take_snapshot());
  add_entries(*session, 30, 2'000);
  session->append_set(10);
  session->append_set(10);
  session->flush();
  EXPECT_TRUE(session->settle());
  session->new_term();
  session->truncate_from(session->last_index());
  add_entries(*session, 5, 500);
  EXPECT_TRUE(session->take_snapshot());
  if (cut) session->purge();
  add_entries(*session, 30, 2'000);
  session->pass(50'000);
  return model;
}

void stop(SimDisk& disk) {
  disk.crash(CrashKind::process);
  disk.restart();
}

std::vector<std::string> names_in(SimDisk& disk, const std::string& directory) {
  std::vector<std::string> paths;
  const auto names = disk.list(directory);
  for (const std::string& name : *names) paths.push_back(directory + "/" + name);
  return paths;
}

// --- Sound directories

TEST(Inspect, ASoundDirectoryIsSoundAndItsStateIsTheServers) {
  SimDisk disk;
  const LogModel model = make_directory(disk);
  stop(disk);
  const auto found = read_directory(disk);
  ASSERT_TRUE(found.has_value()) << found.error().message;
  EXPECT_EQ(found->damages, std::vector<std::string>());
  EXPECT_EQ(found->notes, std::vector<std::string>());
  ASSERT_TRUE(found->state.has_value());
  EXPECT_EQ(*found->state, model.digests[model.committed.value()]);
  EXPECT_EQ(found->files, model.tree.size());
  EXPECT_EQ(found->snapshots.size(), 1U);
}

TEST(Inspect, NoDirectoryIsBlamedAfterACrashWhereverItCame) {
  uint64_t operations = 0;
  {
    SimDisk disk;
    make_directory(disk);
    operations = disk.operations();
  }
  for (uint64_t number = 20; number < operations; number += 3) {
    SCOPED_TRACE("crash at " + std::to_string(number));
    SimDisk disk({.seed = number});
    disk.crash_at(number, sim::kCrashKinds[number % std::size(sim::kCrashKinds)],
                  sim::kMoments[number % std::size(sim::kMoments)]);
    LogModel model;
    {
      const auto session = Session::start(disk, model, kSeed);
      if (session) {
        (*session)->new_term();
        while (!(*session)->dead()) {
          for (int i = 0; i < 6; ++i) (*session)->append_set(2'000);
          (*session)->flush();
          if ((*session)->settle()) (*session)->commit_all();
          if ((*session)->last_index().value() % 5 == 0 && (*session)->take_snapshot()) {
            (*session)->purge();
          }
          (*session)->new_term();
        }
      }
    }
    disk.restart();
    const auto found = read_directory(disk);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    EXPECT_EQ(found->damages, std::vector<std::string>());
    ASSERT_TRUE(found->state.has_value());
    EXPECT_GE(found->state->index, model.committed);
  }
}

TEST(Inspect, AnEmptyDirectoryIsNotDoozers) {
  SimDisk disk;
  EXPECT_EQ(read_directory(disk).error().code, Code::not_found);
}

// --- Words

TEST(Inspect, CommandsOfMembershipAreShownAsWhatTheyAre) {
  const Identity identity = Identity::from_bytes("0123456789");
  const auto shown = [](const core::BodyView& body, bool json) {
    std::string command;
    core::encode_command({.envelope = {}, .body = body}, command);
    const storage::Record record{
        .body = storage::EntryView{.index = Index(3), .term = Term(1), .payload = command}};
    return print_record(record, {.json = json, .records = true, .commands = true});
  };
  const std::string name = identity.to_string();
  const core::AttachView attach{identity, Incarnation(4), 1, "host:1"};
  const core::ReconcileView reconcile{{{"/ctl/cal/1", 7, identity}, {"/ctl/cal/2", 8, {}}}};
  const auto ends = [](const std::string& text, const std::string& end) {
    EXPECT_TRUE(text.ends_with(end)) << text;
  };
  ends(shown(attach, false), "attach " + name + " incarnation 4 version 1 address \"host:1\"");
  ends(shown(reconcile, false), "reconcile \"/ctl/cal/1\" revision 7 " + name +
                                    "; reconcile \"/ctl/cal/2\" revision 8 empty");
  ends(shown(core::RaiseVersionView{1}, false), "raise_version 1");
  EXPECT_NE(shown(reconcile, true)
                .find(R"({"op":"reconcile","path":"/ctl/cal/2","revision":8,"detail":"empty"})"),
            std::string::npos)
      << shown(reconcile, true);
}

// --- Every byte of a segment

struct Heard {
  std::vector<std::pair<uint64_t, uint64_t>> records;  ///< offset, size
  storage::SegmentInspection segment;
};

Heard hear(const std::string& bytes, uint64_t number) {
  storage::BytesDisk disk(storage::segment_path(number), bytes);
  Heard heard;
  storage::RecordVisitor visit = [&](const storage::Record& record, size_t, uint32_t) {
    heard.records.emplace_back(record.offset, record.size);
    (void)print_record(record, {.json = true, .records = true, .commands = true, .values = true});
  };
  auto segment = storage::inspect_segment(
      disk, {.number = number, .owner = {}, .ends_at = {}, .newest = true}, visit);
  if (segment) {
    heard.segment = *std::move(segment);
  } else {
    // With a good crc only by chance: a newer format or type.
    EXPECT_EQ(segment.error().code, Code::unsupported) << segment.error().message;
    heard.segment.damages.push_back({"", 0, segment.error().message});
  }
  return heard;
}

/// A small log in one segment: its path and bytes.
std::pair<std::string, std::string> small_segment() {
  SimDisk disk;
  LogModel model;
  const auto session = start(disk, model);
  session->new_term();
  for (int i = 0; i < 9; ++i) add_entries(*session, 3, 60);
  session->append_noop();
  session->flush();
  EXPECT_TRUE(session->settle());
  session->new_term();
  session->truncate_from(session->last_index());
  add_entries(*session, 1, 20);
  session->pass(50'000);
  std::pair<std::string, std::string> newest;
  for (const std::string& path : names_in(disk, "log")) {
    const std::string bytes = *disk.peek(path);
    const bool begun = bytes.find_first_not_of('\0') != bytes.npos;
    if (path.ends_with(".wal") && begun) newest = {path, bytes};
  }
  return newest;
}

TEST(Inspect, AFlippedBitInASegmentIsReportedUnlessNothingUsesIt) {
  const auto [path, bytes] = small_segment();
  const uint64_t number = *storage::parse_segment_name(path.substr(4));
  const Heard sound = hear(bytes, number);
  ASSERT_TRUE(sound.segment.damages.empty()) << to_string(sound.segment.damages[0]);
  ASSERT_FALSE(sound.segment.torn.has_value());
  ASSERT_GT(sound.records.size(), 20U);
  std::set<uint64_t> used;
  for (uint64_t i = 0; i < storage::kHeaderRecordBytes; ++i) used.insert(i);
  for (const auto& [offset, size] : sound.records) {
    for (uint64_t i = 0; i < size; ++i) used.insert(offset + i);
  }
  const uint64_t end = *used.rbegin() + 600;
  for (uint64_t i = 0; i < bytes.size(); i += i < end ? 1 : 997) {
    std::string flipped = bytes;
    flipped[i] = static_cast<char>(static_cast<unsigned char>(flipped[i]) ^ (1U << (i % 8)));
    const Heard heard = hear(flipped, number);
    const bool reported = !heard.segment.damages.empty() || heard.segment.torn.has_value();
    if (used.contains(i)) {
      ASSERT_TRUE(reported) << "byte " << i;
    } else {
      ASSERT_EQ(heard.records, sound.records) << "byte " << i;
    }
  }
}

TEST(Inspect, ASegmentCutAtAnyLengthIsReported) {
  const auto [path, bytes] = small_segment();
  const uint64_t number = *storage::parse_segment_name(path.substr(4));
  for (size_t size = 0; size < bytes.size(); size += size < 2'000 ? 1 : 77) {
    const Heard heard = hear(bytes.substr(0, size), number);
    const bool reported = !heard.segment.damages.empty() || heard.segment.torn.has_value();
    ASSERT_TRUE(reported || size < storage::kHeaderRecordBytes) << "cut to " << size;
  }
}

TEST(Inspect, ReadsOnBehindDamage) {
  const auto [path, bytes] = small_segment();
  const uint64_t number = *storage::parse_segment_name(path.substr(4));
  const Heard sound = hear(bytes, number);
  for (const uint64_t offset : {uint64_t{40}, sound.records[5].first + 10}) {
    std::string flipped = bytes;
    flipped[offset] = static_cast<char>(flipped[offset] + 1);
    storage::BytesDisk disk(path, flipped);
    std::set<uint64_t> heard;
    storage::RecordVisitor visit = [&](const storage::Record& record, size_t, uint32_t) {
      heard.insert(record.offset);
    };
    // The identity file tells how to know the markers behind a damaged header.
    const storage::SegmentHeader& header = sound.segment.header->header;
    const storage::Ownership owner{.cluster = header.cluster, .identity = header.identity};
    const auto segment =
        storage::inspect_segment(disk, {.number = number, .owner = owner, .ends_at = {}}, visit);
    ASSERT_TRUE(segment.has_value());
    EXPECT_EQ(segment->damages.size(), 1U);
    EXPECT_TRUE(heard.contains(sound.records.back().first)) << "offset " << offset;
  }
}

// --- Every byte of a snapshot

std::pair<std::string, std::string> small_snapshot() {
  SimDisk disk;
  LogModel model;
  const auto session = start(disk, model);
  session->new_term();
  add_entries(*session, 12, 100);
  EXPECT_TRUE(session->take_snapshot());
  const std::string path = storage::snapshot_path(session->machine().applied());
  return {path, *disk.peek(path)};
}

TEST(Inspect, AFlippedBitInASnapshotIsReported) {
  const auto [path, bytes] = small_snapshot();
  for (size_t i = 0; i <= bytes.size(); ++i) {
    std::string flipped = bytes;
    if (i < bytes.size()) {
      flipped[i] = static_cast<char>(static_cast<unsigned char>(flipped[i]) ^ (1U << (i % 8)));
    }
    storage::BytesDisk disk(path, flipped);
    const auto found = read_snapshot(disk, path, nullptr);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    ASSERT_EQ(found->damage.empty(), i == bytes.size()) << "byte " << i;
  }
}

TEST(Inspect, ASnapshotCutAtAnyLengthIsReported) {
  const auto [path, bytes] = small_snapshot();
  for (size_t size = 0; size < bytes.size(); ++size) {
    storage::BytesDisk disk(path, bytes.substr(0, size));
    const auto found = read_snapshot(disk, path, nullptr);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    ASSERT_FALSE(found->damage.empty()) << "cut to " << size;
  }
}

// --- Salvage

const storage::Ownership kNewOwner{.cluster = Identity({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}),
                                   .identity = Identity({10, 9, 8, 7, 6, 5, 4, 3, 2, 1})};

/// Opens what was salvaged as a server does and returns its machine.
std::unique_ptr<core::Machine> open_salvaged(SimDisk& disk) {
  sim::SimClock clock;
  sim::SimLanes lanes(clock, &disk);
  struct Silence final : LogSink {
    void write(const LogRecord&) override {}
  } sink;
  const LogContext context;
  const auto storage = storage::Storage::open(
      disk, lanes, clock, Logger(sink, context, LogLevel::error), sim::crash_test_options());
  EXPECT_TRUE(storage.has_value()) << (storage ? "" : storage.error().message);
  if (!storage) return nullptr;
  const storage::Recovered& recovered = (*storage)->recovered();
  EXPECT_EQ(recovered.trust, raft::LogTrust::sound);
  EXPECT_EQ(recovered.owner.cluster, kNewOwner.cluster);
  EXPECT_EQ(recovered.configuration.voters, std::vector<Identity>{kNewOwner.identity});
  EXPECT_EQ(recovered.snapshots.size(), 1U);
  EXPECT_EQ(recovered.last_index, recovered.snapshots[0].point.index);
  auto machine = sim::load_snapshot(**storage, recovered.last_index);
  EXPECT_TRUE(machine.has_value()) << (machine ? "" : machine.error().message);
  return machine ? std::move(*machine) : nullptr;
}

/// Salvages `disk` into a new one; checks that the source stays as it was.
std::unique_ptr<core::Machine> salvage(SimDisk& disk, SimDisk& target, std::string* report) {
  const uint64_t operations = disk.operations();
  const auto found = read_directory(disk);
  EXPECT_TRUE(found.has_value());
  auto plan = plan_salvage(disk, *found);
  EXPECT_TRUE(plan.has_value()) << (plan ? "" : plan.error().message);
  if (!plan) return nullptr;
  const auto written = write_plan(*plan, target, kNewOwner);
  EXPECT_TRUE(written.has_value()) << (written ? "" : written.error().message);
  *report = print_plan(*plan, false, true);
  EXPECT_EQ(disk.operations(), operations) << "the source is only read";
  target.crash(CrashKind::machine_lost);
  target.restart();
  return open_salvaged(target);
}

TEST(Salvage, KeepsAllOfASoundDirectory) {
  SimDisk disk;
  const LogModel model = make_directory(disk);
  stop(disk);
  SimDisk target;
  std::string report;
  const auto machine = salvage(disk, target, &report);
  ASSERT_NE(machine, nullptr);
  EXPECT_NE(report.find("nothing is missing"), report.npos) << report;
  EXPECT_EQ(machine->revision().value(), model.revision + kRevisionRaise);
  EXPECT_EQ(machine->stats().files, model.tree.size());
  for (const auto& [path, file] : model.tree) {
    const core::Found at = machine->find(path, std::nullopt);
    ASSERT_EQ(at.kind, core::Found::Kind::file) << path;
    EXPECT_EQ(at.file.value, file.first);
    EXPECT_EQ(at.file.revision.value(), file.second) << "files keep their revisions";
  }
}

TEST(Salvage, KeepsWhatIsBeforeTheDamageAndSaysWhatIsLost) {
  SimDisk disk;
  const LogModel model = make_directory(disk);
  stop(disk);
  // A record in the middle of the newest segment with entries.
  const auto before = read_directory(disk);
  ASSERT_TRUE(before.has_value());
  const storage::Run& run = before->log.runs.back();
  const storage::EntryPlace& hit = run.entries[run.entries.size() - 10];
  disk.flip_bit(storage::segment_path(hit.segment), hit.offset + 20, 1);
  const auto found = read_directory(disk);
  ASSERT_TRUE(found.has_value());
  EXPECT_FALSE(found->good());
  SimDisk target;
  std::string report;
  const auto machine = salvage(disk, target, &report);
  ASSERT_NE(machine, nullptr);
  const Index kept = run.last() - 10;
  EXPECT_EQ(machine->revision(), model.digests[kept.value()].revision + kRevisionRaise);
  EXPECT_NE(report.find("lost: log entr"), report.npos) << report;
  EXPECT_NE(report.find("readable, but what comes before is not"), report.npos) << report;
}

TEST(Salvage, UsesTheLogWhereTheSnapshotIsDamagedAndTheOlderSnapshotWhereTheLogIsCut) {
  for (const bool cut : {false, true}) {
    SimDisk disk;
    const LogModel model = make_directory(disk, cut);
    stop(disk);
    const auto snapshots = names_in(disk, "snap");
    disk.flip_bit(snapshots.back(), 200, 4);
    const auto found = read_directory(disk);
    ASSERT_TRUE(found.has_value());
    EXPECT_FALSE(found->good());
    const auto plan = plan_salvage(disk, *found);
    if (cut) {
      EXPECT_FALSE(plan.has_value()) << "the only snapshot is damaged and the log begins behind it";
      continue;
    }
    ASSERT_TRUE(plan.has_value()) << plan.error().message;
    EXPECT_EQ(plan->source.last, model.committed);
  }
}

TEST(Salvage, SurvivesALostIdentityFileAndADamagedHeader) {
  for (const bool header : {false, true}) {
    SimDisk disk;
    const LogModel model = make_directory(disk);
    stop(disk);
    if (header) {
      disk.flip_bit(names_in(disk, "log").front(), 30, 2);
    } else {
      disk.flip_bit("identity", 20, 1);
    }
    const auto found = read_directory(disk);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    EXPECT_FALSE(found->good());
    SimDisk target;
    std::string report;
    const auto machine = salvage(disk, target, &report);
    ASSERT_NE(machine, nullptr);
    EXPECT_EQ(machine->revision().value(), model.revision + kRevisionRaise) << report;
  }
}

TEST(Salvage, NeverWritesWhereSomethingIs) {
  SimDisk disk;
  make_directory(disk);
  stop(disk);
  const auto found = read_directory(disk);
  auto plan = plan_salvage(disk, *found);
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(write_plan(*plan, disk, kNewOwner).error().code, Code::conflict);
}

TEST(Salvage, RandomDamageNeverBreaksTheReaderAndWhatIsSavedIsNeverWrong) {
  SimDisk sound;
  const LogModel model = make_directory(sound, false);
  stop(sound);
  size_t damaged = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const auto disk = sound.clone(seed);
    for (uint64_t flips = 0; flips < seed % 5 + 1; ++flips) disk->flip_random_bit("");
    const auto found = read_directory(*disk);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    damaged += found->good() ? 0 : 1;
    const auto plan = plan_salvage(*disk, *found);
    if (!plan) continue;
    EXPECT_EQ(plan->machine->digests(), model.digests[plan->source.last.value()]);
  }
  EXPECT_GT(damaged, 50U);
}

// --- Words

TEST(Inspect, ShowsPathsAndSizesButValuesOnlyWhenAsked) {
  SimDisk disk;
  make_directory(disk);
  stop(disk);
  const auto found = read_directory(disk);
  ASSERT_TRUE(found.has_value());
  const std::string brief = *print_directory(disk, *found, {});
  EXPECT_NE(brief.find("all of it checks"), brief.npos) << brief;
  EXPECT_NE(brief.find("snap/"), brief.npos);
  EXPECT_EQ(brief.find("/d1/"), brief.npos);
  const std::string commands = *print_directory(disk, *found, {.records = true, .commands = true});
  EXPECT_NE(commands.find("set \"/d1/f"), commands.npos);
  EXPECT_NE(commands.find("revision -1 2000 bytes\n"), commands.npos) << "and nothing of the value";
  const std::string json = *print_directory(
      disk, *found, {.json = true, .records = true, .commands = true, .values = true});
  EXPECT_NE(json.find("\"value_base64\":"), json.npos);
  EXPECT_EQ(json.find('\n'), json.size() - 1) << "one object on one line";
  EXPECT_EQ(json.substr(json.size() - 14), ",\"good\":true}\n");
}

}  // namespace
}  // namespace doozer::inspect
