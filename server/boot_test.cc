// What a server writes below /ctl when it begins.
#include "server/boot.h"

#include <gtest/gtest.h>

#include "core/testing.h"

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
