# What an installation holds. The client library, with its headers and packages, is the component
# "client"; the programs and what belongs to them are told in packaging/.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

if(TARGET doozer_facade)
  # One archive of all that a client needs, so that users link one thing.
  set(rooms base env wire client io facade)
  set(objects "")
  foreach(room IN LISTS rooms)
    list(APPEND objects $<TARGET_OBJECTS:doozer_${room}>)
  endforeach()
  add_library(doozer_bundle STATIC ${objects})
  set_target_properties(doozer_bundle PROPERTIES
    OUTPUT_NAME doozer-client EXPORT_NAME client LINKER_LANGUAGE CXX)
  target_include_directories(doozer_bundle INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(doozer_bundle INTERFACE cxx_std_20)
  find_package(OpenSSL 3 REQUIRED)
  find_package(fmt REQUIRED)
  target_link_libraries(doozer_bundle PRIVATE OpenSSL::SSL OpenSSL::Crypto fmt::fmt
                                              Threads::Threads)
  add_library(Doozer::client ALIAS doozer_bundle)

  install(TARGETS doozer_bundle EXPORT DoozerTargets
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/doozer DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
          COMPONENT client FILES_MATCHING PATTERN "*.h")
  # doozer/result.h says "base/error.h"; a quoted name is looked for beside the file first.
  install(FILES ${PROJECT_SOURCE_DIR}/base/error.h
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/doozer/base COMPONENT client)

  set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Doozer)
  install(EXPORT DoozerTargets NAMESPACE Doozer:: DESTINATION ${package_dir} COMPONENT client)
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/DoozerConfig.cmake.in
    ${CMAKE_CURRENT_BINARY_DIR}/DoozerConfig.cmake INSTALL_DESTINATION ${package_dir})
  # Before 1.0 a minor version may change the interface.
  write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/DoozerConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/DoozerConfig.cmake
                ${CMAKE_CURRENT_BINARY_DIR}/DoozerConfigVersion.cmake
          DESTINATION ${package_dir} COMPONENT client)

  # The prefix is known only when it is installed: `cmake --install --prefix` may choose another.
  install(CODE "
    set(PROJECT_VERSION ${PROJECT_VERSION})
    set(DOOZER_PC_LIBDIR \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}\")
    set(DOOZER_PC_INCLUDEDIR \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_INCLUDEDIR}\")
    configure_file(\"${PROJECT_SOURCE_DIR}/cmake/doozer-client.pc.in\"
                   \"${CMAKE_CURRENT_BINARY_DIR}/doozer-client.pc\" @ONLY)" COMPONENT client)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/doozer-client.pc
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT client)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples/watch_config
          DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/doozer/examples COMPONENT client)

  # Builds the example against an installation; a sanitized library would need sanitized users.
  if(DOOZER_TESTS AND DOOZER_SANITIZE STREQUAL "" AND NOT DOOZER_COVERAGE)
    add_test(NAME ${DOOZER_TEST_PREFIX}.install
      COMMAND ${PROJECT_SOURCE_DIR}/tests/install/run ${PROJECT_BINARY_DIR}
              ${PROJECT_SOURCE_DIR}/examples/watch_config ${CMAKE_CXX_COMPILER})
    set_tests_properties(${DOOZER_TEST_PREFIX}.install PROPERTIES TIMEOUT 300)
  endif()
endif()
