// doozer::Client: each call in up to three forms, all of them one line over the core.
#include "base/bytes.h"
#include "client/facade_impl.h"
#include "client/options.h"

namespace doozer {

using client::Core;
using client::Then;

namespace {

/// The options with the addresses that the name service knows, if one is to be asked.
Result<Options> looked_up(Options options) {
  if (options.boot_uri.empty() || options.cluster_name.empty()) return options;
  TRY_ASSIGN(const Options boot, parse_uri(options.boot_uri));
  TRY_ASSIGN(options.addresses, lookup_cluster(boot, options.cluster_name));
  return options;
}

}  // namespace

Client::Client(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Client::~Client() { close(); }

Client& Client::operator=(Client&& other) noexcept {
  if (this != &other) {
    close();
    impl_ = std::move(other.impl_);
  }
  return *this;
}

Result<Client> Client::make(Options options) {
  TRY_ASSIGN(std::shared_ptr<client::Engine> engine, client::make_engine(std::move(options)));
  auto impl = std::make_shared<Impl>();
  impl->engine = std::move(engine);
  return Client(std::move(impl));
}

Result<Client> Client::connect(Options options) {
  TRY_ASSIGN(Options complete, looked_up(std::move(options)));
  TRY_ASSIGN(Client client, make(std::move(complete)));
  Impl& impl = *client.impl_;
  TRY(impl.blocking<void>([&impl](Callback<> then) {
    impl.async<void>([](Core& core, Then<> done) { core.connect(std::move(done)); },
                     std::move(then));
  }));
  return client;
}

Result<Client> Client::connect(std::string_view uri) {
  TRY_ASSIGN(Options options, parse_uri(uri));
  return connect(std::move(options));
}

void Client::close() {
  if (impl_ != nullptr) impl_->engine->close();
}

Connection Client::connection() const {
  if (impl_->engine->on_own_thread()) return impl_->engine->core().connection();
  Connection connection;
  std::promise<void> done;
  impl_->engine->post([&connection, &done](Core* core) {
    if (core != nullptr) connection = core->connection();
    done.set_value();
  });
  done.get_future().get();
  return connection;
}

// --- Callbacks

void Client::async_get(std::string path, const ReadOptions& options, Callback<File> then) {
  impl_->async<File>(
      [path = std::move(path), options](Core& core, Then<File> done) mutable {
        core.get(std::move(path), options, std::move(done));
      },
      std::move(then));
}

void Client::async_stat(std::string path, const ReadOptions& options, Callback<Stat> then) {
  impl_->async<Stat>(
      [path = std::move(path), options](Core& core, Then<Stat> done) mutable {
        core.stat(std::move(path), options, std::move(done));
      },
      std::move(then));
}

void Client::async_ls(std::string path, const ReadOptions& options, Callback<Listing> then) {
  impl_->async<Listing>(
      [path = std::move(path), options](Core& core, Then<Listing> done) mutable {
        core.ls(std::move(path), options, std::move(done));
      },
      std::move(then));
}

void Client::async_walk(std::string glob, const ReadOptions& options, Callback<Files> then) {
  impl_->async<Files>(
      [glob = std::move(glob), options](Core& core, Then<Files> done) mutable {
        core.walk(std::move(glob), options, std::move(done));
      },
      std::move(then));
}

void Client::async_walk_each(std::string glob, const ReadOptions& options,
                             std::function<bool(File)> each, Callback<int64_t> then) {
  impl_->async<int64_t>(
      [glob = std::move(glob), options, each = std::move(each)](Core& core,
                                                                Then<int64_t> done) mutable {
        core.walk_each(std::move(glob), options, std::move(each), std::move(done));
      },
      std::move(then));
}

void Client::async_wait(std::string glob, int64_t revision, const WaitOptions& options,
                        Callback<Event> then) {
  impl_->async<Event>(
      [glob = std::move(glob), revision, options](Core& core, Then<Event> done) mutable {
        core.wait(std::move(glob), revision, options, std::move(done));
      },
      std::move(then));
}

void Client::async_rev(const ReadOptions& options, Callback<int64_t> then) {
  impl_->async<int64_t>(
      [options](Core& core, Then<int64_t> done) { core.rev(options, std::move(done)); },
      std::move(then));
}

void Client::async_self(const ReadOptions& options, Callback<std::string> then) {
  impl_->async<std::string>(
      [options](Core& core, Then<std::string> done) { core.self(options, std::move(done)); },
      std::move(then));
}

void Client::async_status(const ReadOptions& options, Callback<std::string> then) {
  impl_->async<std::string>(
      [options](Core& core, Then<std::string> done) { core.status(options, std::move(done)); },
      std::move(then));
}

void Client::async_set(std::string path, std::string value, int64_t revision,
                       const WriteOptions& options, Callback<int64_t> then) {
  impl_->async<int64_t>(
      [path = std::move(path), value = std::move(value), revision, options](
          Core& core, Then<int64_t> done) mutable {
        core.set(std::move(path), std::move(value), revision, options, std::move(done));
      },
      std::move(then));
}

void Client::async_del(std::string path, int64_t revision, const WriteOptions& options,
                       Callback<> then) {
  impl_->async<void>(
      [path = std::move(path), revision, options](Core& core, Then<> done) mutable {
        core.del(std::move(path), revision, options, std::move(done));
      },
      std::move(then));
}

void Client::async_nop(const WriteOptions& options, Callback<> then) {
  impl_->async<void>([options](Core& core, Then<> done) { core.nop(options, std::move(done)); },
                     std::move(then));
}

void Client::async_access(std::string secret, const WriteOptions& options, Callback<> then) {
  impl_->async<void>(
      [secret = std::move(secret), options](Core& core, Then<> done) mutable {
        core.access(std::move(secret), options, std::move(done));
      },
      std::move(then));
}

// --- Futures

std::future<Result<File>> Client::future_get(std::string path, const ReadOptions& options) {
  return Impl::future<File>(
      [&](Callback<File> then) { async_get(std::move(path), options, std::move(then)); });
}

std::future<Result<Stat>> Client::future_stat(std::string path, const ReadOptions& options) {
  return Impl::future<Stat>(
      [&](Callback<Stat> then) { async_stat(std::move(path), options, std::move(then)); });
}

std::future<Result<Event>> Client::future_wait(std::string glob, int64_t revision,
                                               const WaitOptions& options) {
  return Impl::future<Event>([&](Callback<Event> then) {
    async_wait(std::move(glob), revision, options, std::move(then));
  });
}

std::future<Result<int64_t>> Client::future_set(std::string path, std::string value,
                                                int64_t revision, const WriteOptions& options) {
  return Impl::future<int64_t>([&](Callback<int64_t> then) {
    async_set(std::move(path), std::move(value), revision, options, std::move(then));
  });
}

std::future<Result<>> Client::future_del(std::string path, int64_t revision,
                                         const WriteOptions& options) {
  return Impl::future<void>(
      [&](Callback<void> then) { async_del(std::move(path), revision, options, std::move(then)); });
}

// --- Blocking

Result<File> Client::get(std::string_view path, const ReadOptions& options) {
  return impl_->blocking<File>(
      [&](Callback<File> then) { async_get(std::string(path), options, std::move(then)); });
}

Result<Stat> Client::stat(std::string_view path, const ReadOptions& options) {
  return impl_->blocking<Stat>(
      [&](Callback<Stat> then) { async_stat(std::string(path), options, std::move(then)); });
}

Result<Listing> Client::ls(std::string_view path, const ReadOptions& options) {
  return impl_->blocking<Listing>(
      [&](Callback<Listing> then) { async_ls(std::string(path), options, std::move(then)); });
}

Result<Files> Client::walk(std::string_view glob, const ReadOptions& options) {
  return impl_->blocking<Files>(
      [&](Callback<Files> then) { async_walk(std::string(glob), options, std::move(then)); });
}

Result<int64_t> Client::walk_each(std::string_view glob, const ReadOptions& options,
                                  std::function<bool(File)> each) {
  return impl_->blocking<int64_t>([&](Callback<int64_t> then) {
    async_walk_each(std::string(glob), options, std::move(each), std::move(then));
  });
}

Result<Event> Client::wait(std::string_view glob, int64_t revision, const WaitOptions& options) {
  return impl_->blocking<Event>([&](Callback<Event> then) {
    async_wait(std::string(glob), revision, options, std::move(then));
  });
}

Result<int64_t> Client::rev(const ReadOptions& options) {
  return impl_->blocking<int64_t>(
      [&](Callback<int64_t> then) { async_rev(options, std::move(then)); });
}

Result<std::string> Client::self(const ReadOptions& options) {
  return impl_->blocking<std::string>(
      [&](Callback<std::string> then) { async_self(options, std::move(then)); });
}

Result<std::string> Client::status(const ReadOptions& options) {
  return impl_->blocking<std::string>(
      [&](Callback<std::string> then) { async_status(options, std::move(then)); });
}

Result<int64_t> Client::set(std::string_view path, std::string_view value, int64_t revision,
                            const WriteOptions& options) {
  return impl_->blocking<int64_t>([&](Callback<int64_t> then) {
    async_set(std::string(path), std::string(value), revision, options, std::move(then));
  });
}

Result<> Client::del(std::string_view path, int64_t revision, const WriteOptions& options) {
  return impl_->blocking<void>([&](Callback<void> then) {
    async_del(std::string(path), revision, options, std::move(then));
  });
}

Result<> Client::nop(const WriteOptions& options) {
  return impl_->blocking<void>([&](Callback<void> then) { async_nop(options, std::move(then)); });
}

Result<> Client::access(std::string_view secret, const WriteOptions& options) {
  return impl_->blocking<void>(
      [&](Callback<void> then) { async_access(std::string(secret), options, std::move(then)); });
}

// --- The name service

Result<std::vector<std::string>> lookup_cluster(const Options& boot, std::string_view name) {
  if (name.empty() || name.find_first_of("/*?[]{}\\") != std::string_view::npos) {
    return fail(Code::bad_argument, "cluster name " + quote(name) + ": is none");
  }
  TRY_ASSIGN(Client client, Client::connect(boot));
  // Addresses that lag a little are as good as any: who listens there decides.
  TRY_ASSIGN(const Files files,
             client.walk("/ctl/ns/" + std::string(name) + "/*", {.local = true}));
  std::vector<std::string> addresses;
  for (const File& file : files.files) {
    if (!file.value.empty()) addresses.push_back(file.value);
  }
  if (addresses.empty()) {
    return fail(Code::not_found, "cluster " + quote(name) + ": the name service at " +
                                     describe(boot) + " knows no address of it");
  }
  return addresses;
}

}  // namespace doozer
