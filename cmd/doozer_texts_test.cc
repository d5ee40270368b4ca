// The table, and the texts made from it.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "cmd/doozer_help.h"

namespace doozer::cli {
namespace {

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

TEST(DoozerTable, NamesAreUniqueAndEveryCommandFlagExists) {
  std::set<std::string_view> names;
  for (const CommandRow& command : command_rows()) {
    EXPECT_TRUE(names.insert(command.name).second) << command.name;
    EXPECT_EQ(find_command(command.name), &command);
  }
  std::set<std::string_view> flags;
  std::set<char> letters;
  for (const auto rows : {global_flags(), command_flags()}) {
    for (const FlagRow& flag : rows) {
      EXPECT_TRUE(flags.insert(flag.name).second) << flag.name;
      if (flag.letter != 0) {
        EXPECT_TRUE(letters.insert(flag.letter).second) << flag.letter;
      }
    }
  }
  for (const CommandRow& command : command_rows()) {
    std::istringstream own{std::string(command.flags)};
    for (std::string flag; own >> flag;) {
      const FlagRow* row = find_flag(flag, &command);
      ASSERT_NE(row, nullptr) << command.name << ' ' << flag;
      EXPECT_TRUE(has_flag(command, flag));
    }
  }
}

TEST(DoozerTable, AFlagOfOneCommandIsNoneOfAnother) {
  EXPECT_NE(find_flag("exec", find_command("watch")), nullptr);
  EXPECT_EQ(find_flag("exec", find_command("get")), nullptr);
  EXPECT_EQ(find_flag("exec", nullptr), nullptr);
  EXPECT_FALSE(has_flag(*find_command("import"), "over"));
  EXPECT_NE(find_flag("r", find_command("get")), nullptr);
}

TEST(DoozerHelp, TellsOfEveryCommandOptionAndExitStatus) {
  const std::string help = help_text();
  for (const CommandRow& command : command_rows()) {
    EXPECT_NE(help.find("\n  " + std::string(command.name)), std::string::npos) << command.name;
    EXPECT_NE(command_help_text(command).find("doozer [OPTIONS] " + std::string(command.name)),
              std::string::npos);
  }
  for (const FlagRow& flag : global_flags()) {
    EXPECT_NE(help.find("--" + std::string(flag.name)), std::string::npos) << flag.name;
  }
  EXPECT_NE(help.find("  4                         outcome unknown"), std::string::npos);
}

TEST(DoozerHelp, WrapsAtSpacesAndKeepsExamplesAsTheyAre) {
  EXPECT_EQ(wrapped("one two three", 2, 9), "  one two\n  three\n");
  EXPECT_EQ(wrapped("unbreakable x", 0, 4), "unbreakable\nx\n");
  EXPECT_EQ(wrapped("a\n  long example line\nb", 1, 6), " a\n   long example line\n b\n");
}

TEST(DoozerHelp, NoLineIsWiderThanATerminal) {
  std::istringstream help(help_text());
  for (std::string line; std::getline(help, line);) EXPECT_LE(line.size(), 80U) << line;
}

TEST(DoozerHelp, TheManualPageInDocsIsTheOneMadeFromTheTable) {
  EXPECT_EQ(content(DOOZER_SOURCE_DIR "/docs/man/doozer.1"), man_page())
      << "to renew it: doozer man >docs/man/doozer.1";
}

TEST(DoozerCompletion, TheScriptsInTheTreeAreThoseMadeFromTheTable) {
  const std::string folder = DOOZER_SOURCE_DIR "/packaging/completions/";
  EXPECT_EQ(content(folder + "doozer.bash"), completion_script("bash").value_or(""));
  EXPECT_EQ(content(folder + "_doozer"), completion_script("zsh").value_or(""));
  EXPECT_EQ(content(folder + "doozer.fish"), completion_script("fish").value_or(""));
}

TEST(DoozerCompletion, AnotherShellIsAnError) {
  const auto script = completion_script("csh");
  ASSERT_FALSE(script);
  EXPECT_EQ(script.error().message, "no completion for \"csh\"; there is bash, zsh, fish");
}

}  // namespace
}  // namespace doozer::cli
