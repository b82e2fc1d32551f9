# SPDX-License-Identifier: BSL-1.0
# Compiles the HTTP client once, in the build that uses it. The target must be compiled as its users
# are: what they define for Asio belongs to this target, too.
if(NOT TARGET loopsafe_http_compiled)
    file(CONFIGURE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/loopsafe_http_compiled.cpp"
        CONTENT "#include <loopsafe/http/src.hpp>\n")
    add_library(loopsafe_http_compiled STATIC EXCLUDE_FROM_ALL "${CMAKE_CURRENT_BINARY_DIR}/loopsafe_http_compiled.cpp")
    add_library(loopsafe::http_compiled ALIAS loopsafe_http_compiled)
    set_target_properties(loopsafe_http_compiled PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_compile_definitions(loopsafe_http_compiled PUBLIC LOOPSAFE_SEPARATE_COMPILATION)
    target_link_libraries(loopsafe_http_compiled PUBLIC loopsafe::http)
endif()
