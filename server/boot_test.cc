// How a server begins, and what it writes below /ctl then.
#include "server/boot.h"

#include <gtest/gtest.h>

#include "core/testing.h"
#include "sim/disk.h"

namespace doozer::server {
namespace {

const std::string kSelf = "AAAAAAAAAAAAAAAB";

NodeFacts facts(bool founder) {
  auto identity = Identity::parse(kSelf);
  EXPECT_TRUE(identity);
  return {.identity = *identity,
          .cluster_name = "local",
          .address = "a:1",
          .hostname = "h",
          .version = "v",
          .slots = 2,
          .founder = founder};
}

std::string paths(const NodeFacts& facts, const core::Machine& machine) {
  std::string text;
  for (const BootWrite& write : boot_writes(facts, machine)) {
    text += (text.empty() ? "" : " ") + write.path;
  }
  return text;
}

const std::string kNode = "/ctl/node/" + kSelf;
const std::string kNodeFiles = kNode + "/addr " + kNode + "/hostname " + kNode + "/version";

TEST(FirstStart, AnEmptyDirectoryBecomesAClusterOnlyWhereNobodyCanBeMisled) {
  struct Row {
    BootInputs inputs;
    std::optional<FirstStart> first;
  };
  const std::string here = "127.0.0.1:8046";
  const std::string there = "10.0.0.1:8046";
  const std::string uri = "doozer:?ca=n:1&cn=x";
  const Row rows[] = {
      {{.listen = here, .boot = false, .attach = {}, .boot_uri = {}}, FirstStart::boot},
      {{.listen = there, .boot = false, .attach = {}, .boot_uri = {}}, std::nullopt},
      {{.listen = there, .boot = true, .attach = {}, .boot_uri = {}}, FirstStart::boot},
      {{.listen = here, .boot = false, .attach = {"a:1"}, .boot_uri = {}}, FirstStart::attach},
      {{.listen = there, .boot = true, .attach = {"a:1"}, .boot_uri = {}}, FirstStart::attach},
      {{.listen = here, .boot = false, .attach = {}, .boot_uri = uri}, FirstStart::ask},
      {{.listen = there, .boot = false, .attach = {"a:1"}, .boot_uri = uri}, FirstStart::ask},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.inputs.listen + " " + row.inputs.boot_uri);
    const auto first = first_start(row.inputs);
    ASSERT_EQ(first.has_value(), row.first.has_value());
    if (first) {
      EXPECT_EQ(*first, *row.first);
    } else {
      EXPECT_EQ(first.error().code, Code::bad_argument);
    }
  }
}

TEST(Candidate, StandsUnderOneIdentityUntilItIsForgotten) {
  sim::SimDisk disk;
  const Identity first = Identity::from_bytes("0123456789");
  const Identity second = Identity::from_bytes("9876543210");
  EXPECT_EQ(*candidate_identity(disk, first), first);
  disk.crash(sim::CrashKind::machine_lost);
  disk.restart();
  EXPECT_EQ(*candidate_identity(disk, second), first) << "a crash changes nothing";
  ASSERT_TRUE(forget_candidate(disk));
  ASSERT_TRUE(forget_candidate(disk)) << "asking again changes nothing";
  EXPECT_EQ(*candidate_identity(disk, second), second);
  disk.flip_bit("candidate", 0, 7);
  EXPECT_EQ(candidate_identity(disk, first).error().code, Code::corrupt);
}

TEST(Boot, TheFounderNamesTheClusterAndMakesItsSlots) {
  core::Driver driver;
  EXPECT_EQ(paths(facts(true), *driver.machine), "/ctl/name " + kNodeFiles +
                                                     " /ctl/cal/0 /ctl/cal/1 /ctl/ns/local/" +
                                                     kSelf + " " + kNode + "/writable");
}

TEST(Boot, WhoAttachesBeforeTheFounderIsDoneTouchesNeitherNameNorSlots) {
  core::Driver driver;
  EXPECT_EQ(paths(facts(false), *driver.machine), kNodeFiles + " " + kNode + "/writable");
  driver.system_set("/ctl/name", "ours");
  EXPECT_EQ(paths(facts(false), *driver.machine),
            kNodeFiles + " /ctl/ns/ours/" + kSelf + " " + kNode + "/writable");
}

TEST(Boot, AFounderWhoseBootIsDoneLeavesNameAndSlotsAlone) {
  core::Driver driver;
  driver.system_set("/ctl/name", "ours");
  driver.system_set("/ctl/cal/0", kSelf);
  driver.system_set(kNode + "/writable", "true");
  EXPECT_EQ(paths(facts(true), *driver.machine), kNodeFiles + " /ctl/ns/ours/" + kSelf);
}

TEST(Boot, AFirstBootThatWasCutShortIsFinished) {
  NodeFacts three = facts(true);
  three.slots = 3;
  core::Driver driver;
  driver.system_set("/ctl/name", "local");
  driver.system_set("/ctl/cal/0", kSelf);
  driver.system_set("/ctl/cal/1", "AAAAAAAAAAAAAAAC");  // filled meanwhile
  EXPECT_EQ(paths(three, *driver.machine),
            kNodeFiles + " /ctl/cal/2 /ctl/ns/local/" + kSelf + " " + kNode + "/writable");
}

}  // namespace
}  // namespace doozer::server
