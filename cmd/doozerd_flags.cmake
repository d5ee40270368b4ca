# doozerd's command line: included by cmd/CMakeLists.txt.
doozer_room(doozerd_flags EXCEPTIONS
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/doozerd_flags.cc ${CMAKE_CURRENT_LIST_DIR}/doozerd_flags_argv.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozerd_flags_text.cc
  DEPS server_config base)
target_compile_definitions(doozer_doozerd_flags PRIVATE DOOZER_VERSION="${PROJECT_VERSION}")
doozer_tests(doozerd_flags SOURCES ${CMAKE_CURRENT_LIST_DIR}/doozerd_flags_test.cc
  DEPS doozerd_flags)
if(TARGET doozerd_flags_test)
  get_filename_component(doozerd_top ${CMAKE_CURRENT_LIST_DIR} DIRECTORY)
  target_compile_definitions(doozerd_flags_test PRIVATE
    DOOZERD_MAN_PAGE="${doozerd_top}/docs/man/doozerd.1")
endif()
