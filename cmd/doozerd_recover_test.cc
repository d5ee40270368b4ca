// --recover-alone on simulated disks: what it says, what it makes, what it refuses, and crashes.
#include "cmd/doozerd_recover.h"

#include <gtest/gtest.h>

#include "core/membership.h"
#include "storage/exchange.h"
#include "storage/storage_fixture.h"

namespace doozer::cmd {
namespace {

using sim::SimDisk;
using storage::kTestOwner;
using storage::Process;
using storage::test_identity;

const Identity kSecond = test_identity(0x2D);
const Identity kThird = test_identity(0x3D);
const storage::Ownership kAfter{.cluster = test_identity(0xC2), .identity = test_identity(0x4D)};
const raft::Configuration kThree{.voters = {kTestOwner.identity, kSecond, kThird},
                                 .old_voters = {}};

std::string command(const core::BodyView& body) {
  core::Envelope envelope;
  envelope.principal = core::kSystemPrincipal;
  std::string out;
  core::encode_command({.envelope = envelope, .body = body}, out);
  return out;
}

std::string set(std::string_view path, std::string_view value) {
  return command(core::SetView{.path = path, .revision = -1, .value = value});
}

constexpr int kClientFiles = 20;

/// A member of three that knows of one entry less to be committed than it has.
void make_member(SimDisk& disk, const raft::Configuration& configuration = kThree) {
  {
    Process process(disk);
    ASSERT_TRUE(process.create());
    ASSERT_TRUE(process.open());
    process.add_entry(raft::EntryKind::configuration, raft::encode_configuration(configuration));
    for (const Identity& identity : {kTestOwner.identity, kSecond, kThird}) {
      process.add(command(core::AttachView{.identity = identity,
                                           .incarnation = Incarnation(1),
                                           .cluster_version = 1,
                                           .address = "10.0.0.1:8046"}));
      const std::string text = identity.to_string();
      process.add(set("/ctl/node/" + text + "/addr", "10.0.0.1:8046"));
      process.add(set("/ctl/ns/local/" + text, "10.0.0.1:8046"));
    }
    process.add(set("/ctl/name", "local"));
    process.add(set("/ctl/ns/other/SOMEBODY", "10.9.9.9:8046"));
    process.add(set("/ctl/cal/0", kSecond.to_string()));
    process.add(set("/ctl/cal/1", kTestOwner.identity.to_string()));
    process.add(set("/ctl/cal/2", kThird.to_string()));
    for (int i = 0; i < kClientFiles; ++i) process.add(set("/data/" + std::to_string(i), "value"));
    process.set_hard_state(Term(7), process.last() - 1);
    ASSERT_TRUE(process.settle());
    process.run_for(2 * kIdleMarkerUs);
  }
  disk.crash(sim::CrashKind::process);
  disk.restart();
}

/// The machine of a directory that is sound, as doozer-inspect reads it.
std::unique_ptr<core::Machine> machine_of(SimDisk& disk, storage::Ownership* owner = nullptr) {
  const auto found = inspect::read_directory(disk);
  EXPECT_TRUE(found.has_value()) << (found ? "" : found.error().message);
  if (!found) return nullptr;
  EXPECT_EQ(found->damages, std::vector<std::string>());
  if (owner != nullptr) *owner = *found->owner;
  auto machine = inspect::rebuild(disk, inspect::best_source(*found));
  EXPECT_TRUE(machine.has_value());
  return machine ? std::move(*machine) : nullptr;
}

std::string value_of(const core::Machine& machine, const std::string& path) {
  const core::Found found = machine.find(path, std::nullopt);
  return found.kind == core::Found::Kind::file ? std::string(found.file.value) : "(none)";
}

TEST(RecoverAlone, TheNewClusterHasTheDataHigherRevisionsAndOneServer) {
  SimDisk disk;
  make_member(disk);
  const auto before = machine_of(disk);
  auto plan = plan_alone(disk, kAfter);
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  ASSERT_TRUE(carry_out(*plan, disk));
  disk.crash(sim::CrashKind::machine_lost);
  disk.restart();
  {
    Process process(disk);
    const auto opened = process.open();
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    EXPECT_EQ(process.recovered().owner.cluster, kAfter.cluster);
    EXPECT_EQ(process.recovered().owner.identity, kAfter.identity);
    EXPECT_EQ(process.recovered().configuration.voters, std::vector<Identity>{kAfter.identity});
    EXPECT_GT(process.recovered().hard_state.term, Term(7));
    EXPECT_EQ(process.recovered().trust, raft::LogTrust::sound);
  }
  disk.crash(sim::CrashKind::process);
  disk.restart();
  const auto after = machine_of(disk);
  ASSERT_NE(after, nullptr);
  EXPECT_GT(after->revision(), before->revision() + inspect::kRevisionRaise);
  EXPECT_EQ(after->revision(), plan->revision_after);
  for (int i = 0; i < kClientFiles; ++i) {
    const std::string path = "/data/" + std::to_string(i);
    const core::Found now = after->find(path, std::nullopt);
    ASSERT_EQ(now.kind, core::Found::Kind::file) << path;
    EXPECT_EQ(now.file.value, "value");
    EXPECT_EQ(now.file.revision, before->find(path, std::nullopt).file.revision);
  }
  EXPECT_EQ(value_of(*after, "/ctl/cal/0"), "");
  EXPECT_EQ(value_of(*after, "/ctl/cal/1"), kAfter.identity.to_string()) << "its own slot";
  EXPECT_EQ(value_of(*after, "/ctl/cal/2"), "");
  EXPECT_EQ(value_of(*after, "/ctl/name"), "local");
  for (const Identity& identity : kThree.voters) {
    EXPECT_EQ(value_of(*after, "/ctl/node/" + identity.to_string() + "/addr"), "(none)");
    EXPECT_EQ(value_of(*after, "/ctl/ns/local/" + identity.to_string()), "(none)");
  }
  EXPECT_EQ(value_of(*after, "/ctl/ns/other/SOMEBODY"), "10.9.9.9:8046") << "another cluster's";
}

TEST(RecoverAlone, SaysWhatIsKeptLostInDoubtAndDone) {
  SimDisk disk;
  make_member(disk);
  const uint64_t operations = disk.operations();
  auto plan = plan_alone(disk, kAfter);
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  const std::string last = std::to_string(plan->last.value());
  const std::string revision = std::to_string(plan->revision.value());
  const std::string will = print_alone(*plan, "/d", false);
  for (const std::string& line :
       {"/d: server " + kTestOwner.identity.to_string() + " of cluster " +
            kTestOwner.cluster.to_string() + ", a member at term 7\n",
        "given up: member " + kSecond.to_string() + " at 10.0.0.1:8046\n",
        "given up: member " + kThird.to_string() + " at 10.0.0.1:8046\n",
        std::string("kept: log entries 1 to ") + last + "\n",
        "kept: 31 files, as of revision " + revision + "\n",
        "lost: whatever the others acknowledged behind log entry " + last + " (revision " +
            revision + ")",
        "in doubt: log entry " + last + ": kept",
        "the next revision is " + std::to_string(plan->revision_after.value() + 1) + "\n",
        std::string("to do: /ctl/cal/0: empty\n"), std::string("to do: /ctl/cal/1: this server\n"),
        std::string("give --yes")}) {
    EXPECT_NE(will.find(line), std::string::npos) << line << "\nin\n" << will;
  }
  EXPECT_EQ(will.find(kAfter.cluster.to_string()), std::string::npos) << "it is not made yet";
  EXPECT_EQ(disk.operations(), operations) << "a dry run only reads";
  const std::string done = print_alone(*plan, "/d", true);
  EXPECT_NE(
      done.find("done: a new cluster " + kAfter.cluster.to_string() + " of this server alone"),
      std::string::npos)
      << done;
  EXPECT_EQ(done.find("--yes"), std::string::npos);
}

TEST(RecoverAlone, AStandbyMayRecoverToo) {
  SimDisk disk;
  make_member(disk, {.voters = {kSecond, kThird}, .old_voters = {}});
  const auto plan = plan_alone(disk, kAfter);
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_FALSE(plan->member);
  EXPECT_EQ(plan->members.size(), 2U);
  EXPECT_NE(print_alone(*plan, "d", false).find(", a standby at term"), std::string::npos);
}

TEST(RecoverAlone, RefusesWhoNeedsNoHelpAndWhatIsDamaged) {
  {
    SimDisk disk;
    make_member(disk, storage::kTestConfiguration);
    const auto plan = plan_alone(disk, kAfter);
    ASSERT_FALSE(plan.has_value());
    EXPECT_EQ(plan.error().code, Code::conflict);
    EXPECT_NE(plan.error().message.find("the only member"), std::string::npos);
  }
  {
    SimDisk disk;
    make_member(disk);
    const auto names = *disk.list("log");
    disk.flip_bit("log/" + names.front(), 600, 1);
    const auto plan = plan_alone(disk, kAfter);
    ASSERT_FALSE(plan.has_value());
    EXPECT_EQ(plan.error().code, Code::corrupt);
    EXPECT_NE(plan.error().message.find("doozer-inspect salvage"), std::string::npos);
  }
  SimDisk empty;
  EXPECT_EQ(plan_alone(empty, kAfter).error().code, Code::not_found);
}

TEST(RecoverAlone, WhereverItCrashesTheStateIsTheOldOneOrTheNew) {
  SimDisk prepared;
  make_member(prepared);
  const core::Digests old_state = machine_of(prepared)->digests();
  core::Digests new_state;
  uint64_t operations = 0;
  {
    const auto disk = prepared.clone(1);
    const uint64_t before = disk->operations();
    auto plan = plan_alone(*disk, kAfter);
    ASSERT_TRUE(plan.has_value());
    ASSERT_TRUE(carry_out(*plan, *disk));
    operations = disk->operations() - before;
    new_state = machine_of(*disk)->digests();
  }
  size_t news = 0;
  size_t decided_ones = 0;
  // Every operation is tried in storage/exchange_test.cc; a plan raises the revision a million
  // times.
  uint64_t tried = 0;
  for (uint64_t number = 2; number <= operations; number += 6) {
    ++tried;
    const auto kind = sim::kCrashKinds[number % std::size(sim::kCrashKinds)];
    SCOPED_TRACE(std::string(sim::crash_kind_name(kind)) + " at " + std::to_string(number));
    const auto disk = prepared.clone(number);
    auto plan = plan_alone(*disk, kAfter);
    ASSERT_TRUE(plan.has_value());
    disk->crash_at(disk->operations() + number, kind, sim::Moment::during);
    EXPECT_FALSE(carry_out(*plan, *disk).has_value() && !disk->crashed());
    disk->restart();
    if (*storage::exchange_decided(*disk)) {
      ++decided_ones;
      const auto read = inspect::read_directory(*disk);
      ASSERT_FALSE(read.has_value()) << "nobody takes half of it for a directory";
      EXPECT_NE(read.error().message.find("--recover-alone --yes"), std::string::npos);
      EXPECT_FALSE(plan_alone(*disk, kAfter).has_value());
    }
    ASSERT_TRUE(storage::settle_exchange(*disk));  // as a start does
    storage::Ownership owner;
    const auto machine = machine_of(*disk, &owner);
    ASSERT_NE(machine, nullptr);
    const bool is_new = owner.cluster == kAfter.cluster;
    EXPECT_EQ(machine->digests(), is_new ? new_state : old_state);
    news += is_new ? 1 : 0;
  }
  EXPECT_GT(news, 1U);
  EXPECT_GT(tried - news, 1U);
  EXPECT_GT(decided_ones, 1U);
}

}  // namespace
}  // namespace doozer::cmd
