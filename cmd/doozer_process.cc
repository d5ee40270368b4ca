#include "cmd/doozer_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "cmd/doozer_format.h"
#include "cmd/doozer_table.h"

extern char** environ;  // NOLINT: POSIX names it so

namespace doozer::cli {
namespace {

tl::unexpected<Error> system_error(std::string_view doing, std::string_view name) {
  return fail(Code::io_error, fmt::format("cannot {} {}: {}", doing, name, std::strerror(errno)));
}

[[noreturn]] void die_of_closed_pipe() {
  ::signal(SIGPIPE, SIG_DFL);
  ::raise(SIGPIPE);
  ::_exit(128 + SIGPIPE);
}

Result<std::string> read_all(int fd, const std::string& name, size_t limit) {
  std::string bytes;
  char chunk[65536];
  while (true) {
    const ssize_t got = ::read(fd, chunk, sizeof chunk);
    if (got == 0) return bytes;
    if (got < 0) {
      if (errno == EINTR) continue;
      return system_error("read", name);
    }
    bytes.append(chunk, static_cast<size_t>(got));
    if (bytes.size() > limit) {
      return fail(Code::too_large, fmt::format("{} has more than {} bytes", name, limit));
    }
  }
}

/// Closes what it holds.
struct Descriptor {
  int fd = -1;
  ~Descriptor() { reset(); }
  void reset() {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
};

/// The environment of this process with `added` before it: the first of a name wins.
std::vector<char*> environment_with(std::vector<std::string>& added) {
  std::vector<char*> all;
  for (std::string& variable : added) all.push_back(variable.data());
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (std::strncmp(*variable, "DOOZER_PATH=", 12) == 0 ||
        std::strncmp(*variable, "DOOZER_REV=", 11) == 0 ||
        std::strncmp(*variable, "DOOZER_FLAG=", 12) == 0) {
      continue;
    }
    all.push_back(*variable);
  }
  all.push_back(nullptr);
  return all;
}

/// Starts /bin/sh -c COMMAND with `input` as its standard input.
Result<pid_t> spawn_shell(const std::string& command, int input, std::vector<std::string> added) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t restored;
  sigemptyset(&restored);
  sigaddset(&restored, SIGPIPE);
  sigaddset(&restored, SIGINT);
  posix_spawnattr_setsigdefault(&attributes, &restored);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

  std::string shell = "sh";
  std::string option = "-c";
  std::string script = command;
  char* const words[] = {shell.data(), option.data(), script.data(), nullptr};
  const std::vector<char*> environment = environment_with(added);
  pid_t child = 0;
  const int failure =
      ::posix_spawn(&child, "/bin/sh", &actions, &attributes, words, environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failure != 0) {
    return fail(Code::io_error, fmt::format("cannot run /bin/sh: {}", std::strerror(failure)));
  }
  return child;
}

bool takes_colour(int fd) {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string_view(value == nullptr ? "" : value);
  };
  return ::isatty(fd) == 1 && variable("NO_COLOR").empty() && variable("TERM") != "dumb";
}

/// What Ctrl-C must not leave behind. The handler may run in any thread, at any moment: a name is
/// read only once it is whole.
char unfinished[PATH_MAX];
std::atomic<bool> unfinished_is_named = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void interrupted(int) {
  if (unfinished_is_named) ::unlink(unfinished);
  ::_exit(kExitInterrupted);
}

}  // namespace

void prepare_process() {
  ::signal(SIGPIPE, SIG_IGN);
  struct sigaction action = {};
  action.sa_handler = interrupted;
  // Who was started with Ctrl-C ignored (nohup, a background job) goes on ignoring it.
  struct sigaction before = {};
  if (::sigaction(SIGINT, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) {
    ::sigaction(SIGINT, &action, nullptr);
  }
}

void unlink_if_interrupted(std::string_view name) {
  unfinished_is_named = false;
  if (name.empty() || name.size() >= sizeof unfinished) return;
  unfinished[name.copy(unfinished, name.size())] = '\0';
  unfinished_is_named = true;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

Result<> write_output(std::string_view bytes) {
  if (write_all(STDOUT_FILENO, bytes)) return {};
  if (errno == EPIPE) die_of_closed_pipe();
  return system_error("write to", "standard output");
}

void write_error(std::string_view bytes) { static_cast<void>(write_all(STDERR_FILENO, bytes)); }

Result<std::string> read_input(const std::string& name, size_t limit) {
  if (name == "-") {
    if (::isatty(STDIN_FILENO) == 1) {
      write_error("doozer: reading from the terminal; Ctrl-D at the start of a line ends it\n");
    }
    return read_all(STDIN_FILENO, "standard input", limit);
  }
  const Descriptor file{::open(name.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return system_error("open", name);
  return read_all(file.fd, name, limit);
}

Result<int> run_for_event(const std::string& command, const Event& event) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("make", "a pipe");
  Descriptor reading{ends[0]};
  Descriptor writing{ends[1]};
  TRY_ASSIGN(const pid_t child,
             spawn_shell(command, reading.fd,
                         {"DOOZER_PATH=" + event.path,
                          fmt::format("DOOZER_REV={}", event.position.revision),
                          fmt::format("DOOZER_FLAG={}", event_word(event.kind))}));
  reading.reset();
  // A command need not read its input; then the pipe is closed before all is written.
  if (!write_all(writing.fd, event.value) && errno != EPIPE) {
    write_error(fmt::format("doozer: cannot give {} to the command\n", event.path));
  }
  writing.reset();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return system_error("wait for", "the command");
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool output_is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }
bool output_takes_colour() { return takes_colour(STDOUT_FILENO); }
bool error_takes_colour() { return takes_colour(STDERR_FILENO); }

}  // namespace doozer::cli
