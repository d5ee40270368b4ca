#include "io/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <time.h>

#include "base/check.h"

namespace doozer::io {
namespace {

constexpr size_t kClientContextsMax = 8;

Error file_error(std::string_view what, const std::string& file) {
  return {Code::bad_argument, std::string(what) + " " + file + ": " + take_tls_error()};
}

// OpenSSL would otherwise ask for the password on the terminal.
int no_password(char*, int, int, void*) { return 0; }

TlsContext new_context(const SSL_METHOD* method) {
  TlsContext context(SSL_CTX_new(method), SSL_CTX_free);
  CHECK(context != nullptr);
  SSL_CTX* const raw = context.get();
  CHECK(SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION) == 1);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  // An idle connection gives its record buffers back.
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
  // No resumption: a connection lives for long, and the state would be one more thing to bound.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_default_passwd_cb(raw, no_password);
  return context;
}

Result<void> load_pair(SSL_CTX* context, const std::string& cert, const std::string& key) {
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context, cert.c_str()) != 1) {
    return fail(file_error("TLS certificate", cert));
  }
  // OpenSSL compares the key with the certificate already here.
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return fail(file_error("TLS key", key));
  }
  return {};
}

Result<void> load_trust(SSL_CTX* context, const std::string& ca) {
  ERR_clear_error();
  if (SSL_CTX_load_verify_locations(context, ca.c_str(), nullptr) != 1) {
    return fail(file_error("TLS authorities", ca));
  }
  return {};
}

Result<TlsContext> server_context(const TlsServerConfig& config) {
  TlsContext context = new_context(TLS_server_method());
  SSL_CTX_set_options(context.get(), SSL_OP_CIPHER_SERVER_PREFERENCE);
  TRY(load_pair(context.get(), config.cert_file, config.key_file));
  if (config.client_ca_file.empty()) return context;
  TRY(load_trust(context.get(), config.client_ca_file));
  // The names of the authorities are told to clients that have several certificates.
  STACK_OF(X509_NAME)* const names = SSL_load_client_CA_file(config.client_ca_file.c_str());
  if (names == nullptr) return fail(file_error("TLS authorities", config.client_ca_file));
  SSL_CTX_set_client_CA_list(context.get(), names);
  const int must = config.clients_may_be_unknown ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | must, nullptr);
  return context;
}

Result<TlsContext> client_context(const env::DialOptions& options) {
  TlsContext context = new_context(TLS_client_method());
  if (!options.tls_cert_file.empty() || !options.tls_key_file.empty()) {
    TRY(load_pair(context.get(), options.tls_cert_file, options.tls_key_file));
  }
  if (options.tls_insecure) {
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
    return context;
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (!options.tls_ca_file.empty()) {
    TRY(load_trust(context.get(), options.tls_ca_file));
  } else if (SSL_CTX_set_default_verify_paths(context.get()) != 1) {
    return fail(file_error("TLS authorities", "of this system"));
  }
  return context;
}

int64_t not_after_of(SSL_CTX* context) {
  const X509* const certificate = SSL_CTX_get0_certificate(context);
  CHECK(certificate != nullptr);
  tm time{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) != 1) return 0;
  return timegm(&time);
}

// Changes when the file does.
std::string stamp_of(const std::string& file) {
  struct stat status{};
  if (file.empty() || ::stat(file.c_str(), &status) != 0) return file + "?";
  return file + "@" + std::to_string(status.st_mtim.tv_sec) + "." +
         std::to_string(status.st_mtim.tv_nsec) + "+" + std::to_string(status.st_size) + "#" +
         std::to_string(status.st_ino);
}

}  // namespace

std::string take_tls_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  if (ERR_SYSTEM_ERROR(code)) return std::string(strerrordesc_np(ERR_GET_REASON(code)));
  const char* const reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "error " + std::to_string(code);
}

Result<std::unique_ptr<TlsServer>> TlsServer::load(TlsServerConfig config) {
  std::unique_ptr<TlsServer> server(new TlsServer(std::move(config)));
  TRY(server->reload());
  return server;
}

Result<void> TlsServer::reload() {
  TRY_ASSIGN(TlsContext context, server_context(config_));
  not_after_s_ = not_after_of(context.get());
  context_ = std::move(context);
  return {};
}

Result<TlsContext> TlsClients::context(const env::DialOptions& options) {
  std::string key = options.tls_insecure ? "insecure " : "";
  for (const std::string* file :
       {&options.tls_ca_file, &options.tls_cert_file, &options.tls_key_file}) {
    key += stamp_of(*file) + "\n";
  }
  for (const auto& [name, context] : kept_) {
    if (name == key) return context;
  }
  TRY_ASSIGN(TlsContext context, client_context(options));
  if (kept_.size() >= kClientContextsMax) kept_.erase(kept_.begin());
  kept_.emplace_back(std::move(key), context);
  return context;
}

}  // namespace doozer::io
