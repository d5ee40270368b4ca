# The cost of codec, globs and doors (Google Benchmark).
find_package(benchmark)
if(benchmark_FOUND)
  add_executable(wire_bench ${CMAKE_CURRENT_LIST_DIR}/wire_bench.cc)
  target_link_libraries(wire_bench PRIVATE doozer_flags doozer_door benchmark::benchmark)
endif()
