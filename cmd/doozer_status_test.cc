// What people see of STATUS.
#include "cmd/doozer_status.h"

#include <gtest/gtest.h>

namespace doozer::cli {
namespace {

constexpr std::string_view kStatus = R"({
  "identity": "LEADERLEADERLEAD", "cluster": "CLUSTERCLUSTERCL", "version": "1.0.0",
  "address": "h1:8046", "role": "leader", "leader": "LEADERLEADERLEAD", "term": 3,
  "revision": 120, "oldest_revision": 1, "applied_index": 140, "commit_index": 140,
  "last_index": 141, "lag_entries": 0, "state": "leader", "writable": true, "uptime_ms": 3723000,
  "servers": [
    {"identity": "LEADERLEADERLEAD", "address": "h1:8046", "version": "1.0.0", "role": "member",
     "state": "leader", "self": true, "reachable": true, "lag_entries": 0, "revision": 120},
    {"identity": "OTHEROTHEROTHERO", "address": "h2:8046", "version": "1.0.0", "role": "member",
     "state": "follower", "self": false, "reachable": true, "link": "relayed", "hops": 2,
     "never_lead": true,
     "rtt_us": 1500, "lag_entries": 7, "revision": 118, "silent_ms": 40},
    {"identity": "GONEGONEGONEGONE", "address": "h3:8046", "version": "0.9.0", "role": "member",
     "state": "unreachable", "self": false, "reachable": false, "link": "down", "hops": 0,
     "rtt_us": 0, "lag_entries": 90, "silent_ms": 65000}],
  "slots": [
    {"path": "/ctl/cal/0", "holder": "LEADERLEADERLEAD", "voting": true, "garbage": false},
    {"path": "/ctl/cal/1", "holder": "OTHEROTHEROTHERO", "voting": false, "garbage": false},
    {"path": "/ctl/cal/2", "holder": "", "voting": false, "garbage": false}],
  "configuration": {"joint": false, "changing": true,
                    "voters": ["GONEGONEGONEGONE", "LEADERLEADERLEAD"], "old_voters": []},
  "tree": {"files": 12, "directories": 3, "bytes": 4096, "waits": 2, "history_events": 9,
           "history_bytes": 100},
  "connections": {"open": 1},
  "disk": {"free_bytes": 3435973837, "log_bytes": 1048576, "snapshot_bytes": 512, "full": false},
  "memory": {"rss_bytes": 34603008, "rss_bytes_max": 41943040},
  "loop": {"turns": 1000, "turn_cpu_us_max": 2100, "turns_over_limit": 0}
})";

TEST(DoozerStatus, TellsServersSlotsAndMeansInTables) {
  EXPECT_EQ(format_status(kStatus, {}),
            "cluster   CLUSTERCLUSTERCL, term 3, leader LEADERLEADERLEAD at h1:8046\n"
            "server    LEADERLEADERLEAD at h1:8046, leader, version 1.0.0, up 1h 2m\n"
            "revision  120 (oldest 1)\n"
            "log       applied 140, committed 140, last 141, behind by 0\n"
            "writes    taken\n"
            "\n"
            "ADDRESS  IDENTITY          STATE                  VERSION  REVISION  LAG  LINK        "
            "  RTT  "
            "SILENT\n"
            "h1:8046  LEADERLEADERLEAD  leader                 1.0.0    120       0    this one    "
            "  -    -\n"
            "h2:8046  OTHEROTHEROTHERO  follower (never-lead)  1.0.0    118       7    relayed by "
            "1  1ms  "
            "40ms\n"
            "h3:8046  GONEGONEGONEGONE  unreachable            0.9.0    -         90   down        "
            "  -    "
            "1m 5s\n"
            "\n"
            "SLOT        WISHED            ADDRESS  VOTES\n"
            "/ctl/cal/0  LEADERLEADERLEAD  h1:8046  yes\n"
            "/ctl/cal/1  OTHEROTHEROTHERO  h2:8046  not yet\n"
            "/ctl/cal/2  -                 -        -\n"
            "-           -                 h3:8046  yes, without a slot\n"
            "a change of members is under way\n"
            "\n"
            "data      12 files, 3 directories, 4.0KiB; 9 events of history, 100B\n"
            "disk      3.2GiB free, log 1.0MiB, snapshots 512B\n"
            "memory    33.0MiB resident, 40.0MiB at most\n"
            "clients   1 connection, 2 waits\n"
            "loop      1000 turns, the longest 2100us, 0 too long\n");
}

TEST(DoozerStatus, WhatIsEmptyLeavesNoHole) {
  const std::string out = format_status(
      R"({"servers":[{"identity":"I","address":"","version":"","state":"standby"}]})", {});
  EXPECT_NE(out.find("\n-        I         standby  -        -"), std::string::npos) << out;
}

TEST(DoozerStatus, NothingThatClientsWroteSpeaksToTheTerminal) {
  const std::string out = format_status(
      R"({"servers":[{"version":"\u001b[2J\n\u007f","link":"relayed","hops":0}]})", {});
  EXPECT_NE(out.find("?[2J??"), std::string::npos) << out;
  EXPECT_EQ(out.find('\x1b'), std::string::npos);
  EXPECT_NE(out.find("relayed by 0"), std::string::npos) << out;
}

TEST(DoozerStatus, WhatIsWrongIsRed) {
  const std::string out = format_status(kStatus, {.colour = true});
  EXPECT_NE(out.find("\x1b[31;1mh3:8046"), std::string::npos) << out;
  EXPECT_EQ(out.find("\x1b[31;1mh2:8046"), std::string::npos) << out;
  EXPECT_NE(format_status(R"({"writable":false})", {.colour = true}).find("\x1b[31;1mrefused"),
            std::string::npos);
}

TEST(DoozerStatus, WhatAnotherVersionDoesNotTellOrTellsOtherwiseIsLeftOut) {
  for (const std::string_view odd :
       {"{}", R"({"servers":7,"slots":"x","tree":[1],"disk":null,"loop":"fast","memory":3})",
        R"({"servers":[1,{"identity":5}],"slots":[{}],"configuration":{"voters":[8]}})"}) {
    const std::string out = format_status(odd, {});
    EXPECT_TRUE(out.starts_with("cluster   -, term -, leader unknown\n")) << out;
    EXPECT_EQ(out.find("loop"), std::string::npos);
  }
  EXPECT_EQ(format_status("no json", {}), "no json\n");
}

TEST(DoozerStatus, SizesAndTimesAreRough) {
  EXPECT_EQ(rough_size(0), "0B");
  EXPECT_EQ(rough_size(1023), "1023B");
  EXPECT_EQ(rough_size(1024), "1.0KiB");
  EXPECT_EQ(rough_size(1024 * 1024 - 1), "1.0MiB");
  EXPECT_EQ(rough_size(UINT64_MAX), "16384.0PiB");
  EXPECT_EQ(rough_duration(999), "0ms");
  EXPECT_EQ(rough_duration(999'999), "999ms");
  EXPECT_EQ(rough_duration(1'000'000), "1s");
  EXPECT_EQ(rough_duration(60'000'000), "1m");
  EXPECT_EQ(rough_duration(90'061'000'000), "1d 1h");
}

}  // namespace
}  // namespace doozer::cli
