/* test_install.c - programs build with what `make install` installs; `make uninstall` removes it. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the folder ---- */

static place at; /* `to` in it is where files are installed; `before` lists the files before that */

#define MAKE "exec env -u MAKEFLAGS make -s -j1 -C '%s' PREFIX=\"$PWD/to\" "

static void install(void)
{
    at = place_make();
    ck_assert_int_eq(shell(&at, "mkdir -p to/lib && echo >to/lib/mine && find to >before"), 0);
    ck_assert_int_eq(shell(&at, MAKE "install >out", at.before), 0);
    setenv("PKG_CONFIG_PATH", "to/lib/pkgconfig", 1);
    setenv("LD_LIBRARY_PATH", "to/lib", 1);
}

static void clear(void)
{
    place_end(&at);
}

/* False if there is no such compiler; prints a line about this. */
static bool has(const char *compiler)
{
    if (*compiler && !shell(&at, "command -v %s >/dev/null", compiler))
        return true;
    printf("left out: there is no %s\n", *compiler ? compiler : "C++ compiler");
    return false;
}

/* ---- headers ---- */

/* TN_VERSION_NUMBER is the number of TN_VERSION, and the library has the version of the header. */
START_TEST(version_is_one)
{
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", TN_VERSION_NUMBER / 10000,
             TN_VERSION_NUMBER / 100 % 100, TN_VERSION_NUMBER % 100);
    ck_assert_str_eq(text, TN_VERSION);
    ck_assert_str_eq(tn_version(), TN_VERSION);
}
END_TEST

#define STRICT "-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wundef -Werror "
static const struct {
    const char *compiler, *flags;
} strict[] = {
    { "cc", "-xc -std=c11 -Wc++-compat -Wstrict-prototypes " STRICT },
    { "clang", "-xc -std=c11 -Wc++-compat -Wstrict-prototypes " STRICT },
    { "g++", "-xc++ -std=c++17 -Wold-style-cast -Wuseless-cast " STRICT },
    { "clang++", "-xc++ -std=c++17 -Wold-style-cast " STRICT },
};

START_TEST(headers_compile_strictly)
{
    if (has(strict[_i].compiler))
        for (int wide = 0; wide < 2; wide++)
            ck_assert_int_eq(shell(&at, "sh '%s/tests/support/headers.sh' to/include %s %s %s",
                                   at.before, strict[_i].compiler, strict[_i].flags,
                                   wide ? "-DTN_DOUBLE" : ""),
                             0);
}
END_TEST

/* All macros of the headers, except those of system headers that they include. */
static const char macros[] =
    "cd to/include && find tenon -name '*.h' | sed 's/.*/#include <&>/' >../../ours.h &&\n"
    "grep -ho '#include <std.*>' -r . >../../system.h; cd ../..\n"
    "for f in ours system; do\n"
    "    ${CC:-cc} -std=c11 -dM -E -Ito/include -xc $f.h | cut -d ' ' -f 2 | sort >$f; done\n"
    "comm -23 ours system >new; grep -q TN_VERSION new && ! grep -v '^TN_' new";

START_TEST(macros_have_the_prefix)
{
    ck_assert_int_eq(shell(&at, "%s", macros), 0);
}
END_TEST

/* The shared library exports exactly what the headers declare. */
START_TEST(shared_library_exports_the_headers)
{
    ck_assert_int_eq(shell(&at, "sh '%s/tests/support/declared.sh' to/include >declared",
                           at.before),
                     0);
    ck_assert_int_eq(shell(&at, "grep -qx tn_lora_add declared && grep -qx tn_ops declared &&"
                                " grep -qx tn_op_add declared"),
                     0);
    ck_assert_int_eq(shell(&at, "nm -D --defined-only to/lib/libtenon.so | cut -d ' ' -f 3 |"
                                " sort -u | diff declared -"),
                     0);
}
END_TEST

/* ---- programs ---- */

static const char user[] =
    "#include <tenon/optim/optim.h>\n#include <stdio.h>\n#include <string.h>\n"
    "int main(void) {\n"
    "    int n = 2;\n"
    "    tn_context *c = tn_context_new(NULL);\n"
    "    tn_tape *t = tn_tape_new(c);\n"
    "    tn_tensor *a = tn_tensor_new(TN_REAL, TN_SHAPE(n++, 3), true);\n"
    "    int code = tn_backward(t, tn_sum(t, tn_add(t, a, a)));\n"
    "    printf(\"%d %d %d (%d,%d) %g %d\\n\", code, !strcmp(tn_version(), TN_VERSION), n,\n"
    "        (int)a->dim[0], (int)a->dim[1], (double)a->g[5], (int)sizeof(tn_real));\n"
    "    tn_tape_free(t); tn_tensor_free(a); tn_context_free(c);\n"
    "    return 0;\n}\n";

#define STATIC "LDLIBS=\"-static $(pkg-config --static --libs tenon)\""
#define WIDE "CPPFLAGS=-DTN_DOUBLE LDLIBS=\"$(pkg-config --libs tenon64)\""
static const struct {
    const char *source, *how, *printed;
} programs[] = {
    { "c", "", "0 1 3 (2,3) 2 4\n" },       { "c", STATIC, "0 1 3 (2,3) 2 4\n" },
    { "c", WIDE, "0 1 3 (2,3) 2 8\n" },     { "cpp", "", "0 1 3 (2,3) 2 4\n" },
    { "cpp", STATIC, "0 1 3 (2,3) 2 4\n" }, { "cpp", WIDE, "0 1 3 (2,3) 2 8\n" },
};

/* Writes the Makefile of the README. */
static void write_makefile(const char *path)
{
    ck_assert_int_eq(shell(&at,
                           "sed -n '/^# Makefile/,/^```/p' '%s/README.md' | grep -v '^```'"
                           " >%s && test $(grep -vc '^#' %s) -le 5",
                           at.before, path, path),
                     0);
}

/* False, and a line that says so, where there is no C++ compiler. */
static bool has_cpp(void)
{
    const char *cxx = getenv("CXX");
    return has(cxx ? cxx : "c++");
}

START_TEST(program_of_a_user_builds)
{
    if (!strcmp(programs[_i].source, "cpp") && !has_cpp())
        return;
    write_makefile("Makefile");
    char source[32];
    snprintf(source, sizeof source, "my_model.%s", programs[_i].source);
    FILE *f = fopen(source, "w");
    ck_assert_ptr_nonnull(f);
    fputs(user, f);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(shell(&at, "exec env -u MAKEFLAGS make -s %s", programs[_i].how), 0);
    ck_assert_int_eq(shell(&at, "./my_model >printed"), 0);
    char *printed = place_read("printed");
    ck_assert_str_eq(printed, programs[_i].printed);
    free(printed);
    ck_assert_int_eq(shell(&at, "readelf -d my_model | grep -q 'NEEDED.*libtenon.so.0.1]'"),
                     *programs[_i].how ? 1 : 0);
    ck_assert_int_eq(shell(&at, "exec env -u MAKEFLAGS make -s clean && ! test -e my_model"), 0);
    remove(source);
}
END_TEST

/* A model, an op and an optimizer in C++; in C they are examples. */
START_TEST(cpp_program_has_an_op_and_an_optimizer)
{
    if (!has_cpp())
        return;
    ck_assert_int_eq(shell(&at, "mkdir cpp && cp '%s/tests/support/outside.cpp' cpp", at.before),
                     0);
    write_makefile("cpp/Makefile");
    ck_assert_int_eq(shell(&at, "export PKG_CONFIG_PATH=\"$PWD/to/lib/pkgconfig\""
                                " LD_LIBRARY_PATH=\"$PWD/to/lib\"; cd cpp &&"
                                " env -u MAKEFLAGS make -s outside >printed 2>&1 &&"
                                " ./outside >>printed"),
                     0);
    char *printed = place_read("cpp/printed"); /* no warnings either */
    ck_assert_str_eq(printed, "0 findings\nlearnt\n");
    free(printed);
}
END_TEST

/* "Write your first model" prints what its programs print. */
START_TEST(first_page_is_true)
{
    ck_assert_int_eq(shell(&at, "mkdir page"), 0);
    write_makefile("page/Makefile");
    ck_assert_int_eq(shell(&at,
                           "export PKG_CONFIG_PATH=\"$PWD/to/lib/pkgconfig\""
                           " LD_LIBRARY_PATH=\"$PWD/to/lib\"; cd page && exec env -u MAKEFLAGS"
                           " sh '%s/tests/support/page.sh' '%s/core/README.md'",
                           at.before, at.before),
                     0);
}
END_TEST

START_TEST(examples_build_as_installed)
{
    ck_assert_int_eq(shell(&at, "mkdir examples && cp to/share/doc/tenon/examples/*.c examples"),
                     0);
    write_makefile("examples/Makefile");
    ck_assert_int_eq(shell(&at,
                           "export PKG_CONFIG_PATH=\"$PWD/to/lib/pkgconfig\"; cd examples &&"
                           " exec env -u MAKEFLAGS make -s $(ls *.c | sed 's/\\.c$//') >out 2>&1"),
                     0);
    ck_assert_int_eq(shell(&at, "test ! -s examples/out && test -x examples/own_op"), 0);
}
END_TEST

/* If PATH has no C++ compiler, make leaves out what needs one, and says so. */
START_TEST(builds_without_a_cpp_compiler)
{
    ck_assert_int_eq(shell(&at, "mkdir bin && ln -s /usr/bin/* bin && rm -f bin/*++*"), 0);
    ck_assert_int_eq(shell(&at, "env -u CXX -u MAKEFLAGS PATH=\"$PWD/bin\" make -s -C '%s' >out",
                           at.before),
                     0);
    place_has(&at, "out", "left out: the C++ example, because there is no C++ compiler");
}
END_TEST

/* ---- manual ---- */

START_TEST(each_command_has_a_page)
{
    ck_assert_int_eq(
        shell(&at,
              "cd to/share/man/man1 && $T --man | cmp - tenon.1 &&"
              " $T --help | sed -n 's/^  \\([a-z][a-z]*\\) .*/tenon-\\1.1/p' | sort >../../../../want &&"
              " ls | grep -v '^tenon.1$' | diff ../../../../want -"),
        0);
    ck_assert_int_eq(
        shell(&at, "cd to/share && $T --completion | cmp - bash-completion/completions/tenon &&"
                   " $T --completion zsh | cmp - zsh/site-functions/_tenon &&"
                   " $T --completion fish | cmp - fish/vendor_completions.d/tenon.fish"),
        0);
}
END_TEST

/* ---- the end ---- */

START_TEST(uninstall_leaves_what_was_there)
{
    ck_assert_int_eq(shell(&at, "umask 077; " MAKE "install >out", at.before), 0); /* once more */
    ck_assert_int_eq(
        shell(&at, "test -x to/bin/tenon && ! find to/* -newer before ! -perm -o=r | grep ."), 0);
    ck_assert_int_eq(shell(&at, MAKE "uninstall", at.before), 0);
    ck_assert_int_eq(shell(&at, "find to | diff before -"), 0);
    ck_assert_int_ne(shell(&at, MAKE "uninstall >out 2>err", at.before), 0);
    place_has(&at, "out", "nothing is installed");
}
END_TEST

/* A file has the name of a folder that is needed. */
START_TEST(uninstall_ends_a_broken_installation)
{
    ck_assert_int_eq(shell(&at, "mkdir -p there/share && echo >there/share/man && find there >was"),
                     0);
    ck_assert_int_ne(shell(&at, MAKE "install PREFIX=\"$PWD/there\" >out 2>err", at.before), 0);
    ck_assert_int_eq(shell(&at, "test -x there/bin/tenon"), 0);
    ck_assert_int_eq(shell(&at, MAKE "uninstall PREFIX=\"$PWD/there\"", at.before), 0);
    ck_assert_int_eq(shell(&at, "find there | diff was -"), 0);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, version_is_one);
}

void tests_of_program(TCase *c)
{
    if (TESTS_SANITIZED) /* people do not install such a build; programs would need its flags */
        return;
    tcase_add_unchecked_fixture(c, install, clear);
    tcase_add_loop_test(c, headers_compile_strictly, 0, sizeof strict / sizeof *strict);
    tcase_add_test(c, macros_have_the_prefix);
    tcase_add_test(c, shared_library_exports_the_headers);
    tcase_add_loop_test(c, program_of_a_user_builds, 0, sizeof programs / sizeof *programs);
    tcase_add_test(c, cpp_program_has_an_op_and_an_optimizer);
    tcase_add_test(c, first_page_is_true);
    tcase_add_test(c, examples_build_as_installed);
    tcase_add_test(c, builds_without_a_cpp_compiler);
    tcase_add_test(c, each_command_has_a_page);
    tcase_add_test(c, uninstall_leaves_what_was_there);
    tcase_add_test(c, uninstall_ends_a_broken_installation);
}
