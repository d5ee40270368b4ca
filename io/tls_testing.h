// Certificates made on the spot, for tests. Inside tests only.
#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "base/check.h"

namespace doozer::io {

struct TestCertificate {
  std::shared_ptr<X509> certificate;
  std::shared_ptr<EVP_PKEY> key;

  void write(const std::string& cert_file, const std::string& key_file) const {
    FILE* file = fopen(cert_file.c_str(), "w");
    CHECK(file != nullptr);
    CHECK(PEM_write_X509(file, certificate.get()) == 1);
    fclose(file);
    if (key_file.empty()) return;
    file = fopen(key_file.c_str(), "w");
    CHECK(file != nullptr);
    CHECK(PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
    fclose(file);
  }
};

struct TestCertificateOptions {
  std::string name = "test";                ///< common name
  std::string alternatives{};               ///< "DNS:localhost,IP:127.0.0.1"; empty: none
  const TestCertificate* issuer = nullptr;  ///< null: signs itself
  bool authority = false;
  long valid_from_s = -3600;  ///< from now
  long valid_to_s = 3600;
};

inline void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  CHECK(extension != nullptr);
  CHECK(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

inline TestCertificate make_certificate(const TestCertificateOptions& options) {
  static long serial = 1;
  TestCertificate made;
  made.key.reset(EVP_EC_gen("P-256"), EVP_PKEY_free);
  made.certificate.reset(X509_new(), X509_free);
  X509* const raw = made.certificate.get();
  X509* const issuer = options.issuer == nullptr ? raw : options.issuer->certificate.get();
  CHECK(X509_set_version(raw, 2) == 1);
  ASN1_INTEGER_set(X509_get_serialNumber(raw), serial++);
  X509_gmtime_adj(X509_getm_notBefore(raw), options.valid_from_s);
  X509_gmtime_adj(X509_getm_notAfter(raw), options.valid_to_s);
  CHECK(X509_set_pubkey(raw, made.key.get()) == 1);
  CHECK(X509_NAME_add_entry_by_txt(X509_get_subject_name(raw), "CN", MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>(options.name.c_str()), -1,
                                   -1, 0) == 1);
  CHECK(X509_set_issuer_name(raw, X509_get_subject_name(issuer)) == 1);
  add_extension(raw, issuer, NID_basic_constraints,
                options.authority ? "critical,CA:TRUE" : "CA:FALSE");
  add_extension(raw, issuer, NID_subject_key_identifier, "hash");
  if (!options.alternatives.empty()) {
    add_extension(raw, issuer, NID_subject_alt_name, options.alternatives);
  }
  EVP_PKEY* const signer = options.issuer == nullptr ? made.key.get() : options.issuer->key.get();
  CHECK(X509_sign(raw, signer, EVP_sha256()) > 0);
  return made;
}

}  // namespace doozer::io
