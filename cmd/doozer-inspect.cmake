# doozer-inspect, the offline reader and salvager: included by cmd/CMakeLists.txt.
doozer_room(inspect EXCEPTIONS
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/doozer_inspect_alone.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_inspect_print.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_inspect_read.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_inspect_salvage.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_json.cc
  DEPS storage core raft env base)
find_package(nlohmann_json REQUIRED)
target_link_libraries(doozer_inspect PRIVATE nlohmann_json::nlohmann_json)

find_package(CLI11 REQUIRED)
add_executable(doozer-inspect ${CMAKE_CURRENT_LIST_DIR}/doozer_inspect.cc)
target_link_libraries(doozer-inspect PRIVATE doozer_flags doozer_inspect doozer_io CLI11::CLI11)
target_compile_definitions(doozer-inspect PRIVATE DOOZER_VERSION="${PROJECT_VERSION}")

if(TARGET doozer_core AND EXISTS ${PROJECT_SOURCE_DIR}/sim/storage_harness.cc)
  doozer_tests(inspect
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/doozer_inspect_test.cc
            ${CMAKE_CURRENT_LIST_DIR}/doozer_inspect_repair_test.cc
            ${PROJECT_SOURCE_DIR}/sim/storage_harness.cc
    DEPS inspect sim storage core raft env base)
endif()
