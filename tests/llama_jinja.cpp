// Renders {"template": text, "globals": {…}} from standard input with llama.cpp's Jinja engine; tests/test_template_engines.py runs it.
//
// The engine needs no other part of llama.cpp. L is its source, as in the folder vendor/llama.cpp of PyPI's llama_cpp_python sdist:
//   g++ -std=c++17 -I$L/common -I$L/vendor -I$L/ggml/include tests/llama_jinja.cpp $L/common/jinja/*.cpp $L/common/{json,unicode}.cpp \
//     -o llama_jinja && LLAMA_JINJA=$PWD/llama_jinja pytest tests/test_template_engines.py
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <string>
#include "json.h"
#include "jinja/lexer.h"
#include "jinja/parser.h"
#include "jinja/runtime.h"

extern "C" void ggml_abort(const char *, int, const char *, ...) { std::abort(); }  // instead of linking ggml for it

int main() {
    std::string given((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
    try {
        common_json input = common_json::parse(given);
        std::string source = input["template"].get<std::string>();
        jinja::lexer lexer;
        auto tokens = lexer.tokenize(source);
        jinja::program program = jinja::parse_from_tokens(tokens);
        jinja::context context(source);
        common_json globals = input["globals"];
        jinja::global_from_json(context, globals, false);
        jinja::runtime runtime(context);
        std::cout << jinja::runtime::gather_string_parts(runtime.execute(program))->as_string().str();
    } catch (const std::exception & error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
