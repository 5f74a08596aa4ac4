/* test_folders.c - saving removes and replaces the checkpoints of its own run, and nothing else. */
#include "data/formats/folder.h"
#include "optim/run/folders.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OLD = 5, RUN = 7, OTHER = 9 }; /* ids of runs */

/* One weight trained by SGD. The working directory is a temporary folder. */
typedef struct trial {
    tn_context *context;
    tn_params *params;
    tn_optim *optim;
    char *folder, before[1024];
} trial;

static trial open_trial(void)
{
    tn_error e = { 0 };
    trial t = { .context = tn_context_new(&(tn_options){ .threads = 1 }), .folder = temporary() };
    t.params = tn_params_new(t.context);
    tn_params_add(t.params, "w", 1, (int64_t[]){ 3 });
    t.optim =
        tn_optim_new(t.params, tn_optim_find("sgd"), &(tn_optim_options){ .weight_decay = -1 }, &e);
    must(&e);
    ck_assert_ptr_nonnull(getcwd(t.before, sizeof t.before));
    ck_assert_int_eq(chdir(t.folder), 0);
    return t;
}

static void close_trial(trial *t)
{
    tn_optim_free(t->optim);
    tn_params_free(t->params);
    tn_context_free(t->context);
    ck_assert_int_eq(chdir(t->before), 0);
    discard(t->folder);
}

static int save(trial *t, int64_t step, uint64_t run, uint64_t before, int keep, tn_error *e)
{
    const tn_run_state r = { .step = step, .run = run, .before = before };
    return tn_checkpoint_save(".", t->params, t->optim, &r, keep, e);
}

static void shell(const char *command)
{
    ck_assert_msg(system(command) == 0, "%s", command);
}

START_TEST(keeps_the_newest)
{
    trial t = open_trial();
    tn_error e = { 0 };
    ck_assert_int_eq(tn_checkpoint_newest(".", RUN, &e), -1);
    for (int64_t k = 1; k <= 12; k++) {
        save(&t, k, RUN, 0, 2, &e);
        must(&e);
        ck_assert_int_eq(tn_checkpoint_newest(".", RUN, &e), k);
        ck_assert_int_eq(tn_checkpoint_newest(".", 0, &e), k);
        ck_assert_int_eq(tn_checkpoint_newest(".", OTHER, &e), -1);
    }
    save(&t, 12, RUN, 0, 2, &e); /* the same step again replaces the old checkpoint */
    must(&e);
    shell("test \"$(echo *)\" = 'checkpoint-11 checkpoint-12'");
    tn_run_state r = { .run = OTHER };
    tn_checkpoint_load(".", t.params, t.optim, &r, &e);
    must_fail(&e, TN_EIO, ".: there is no checkpoint in it");
    tn_checkpoint_load("checkpoint-12", t.params, t.optim, &r, &e);
    must_fail(&e, TN_EARG, "checkpoint-12: of another run; expected one of this run");
    r.run = RUN;
    r.before = OLD;
    tn_checkpoint_load(".", t.params, t.optim, &r, &e);
    must(&e);
    ck_assert(r.step == 12 && r.run == RUN && r.before == OLD);
    ck_assert_int_eq(tn_checkpoint_newest("gone", RUN, &e), -1);
    must(&e);
    shell(": >file");
    ck_assert_int_eq(tn_checkpoint_newest("file", RUN, &e), -1); /* an error, not "there is none" */
    must_fail(&e, TN_EIO, "file: cannot list this folder");
    close_trial(&t);
}
END_TEST

/* The best checkpoint stays, and the one that the file `best` still names if a save is cut short
   before that file is written anew. */
START_TEST(keeps_the_best)
{
    trial t = open_trial();
    tn_error e = { 0 };
    for (int64_t k = 1; k <= 9; k++) {
        const tn_run_state r = { .step = k, .run = RUN, .best_step = k < 3 ? 1 : k < 7 ? 3 : 7 };
        tn_checkpoint_save(".", t.params, t.optim, &r, 2, &e);
        must(&e);
        if (k == 4)
            shell("test \"$(echo *)\" = 'checkpoint-3 checkpoint-4'; echo checkpoint-3 >best");
        if (k == 6)
            shell("test \"$(echo *)\" = 'best checkpoint-3 checkpoint-5 checkpoint-6'");
        if (k == 8)
            shell("test \"$(echo *)\" = 'best checkpoint-3 checkpoint-7 checkpoint-8'");
    }
    shell("test \"$(echo *)\" = 'best checkpoint-3 checkpoint-7 checkpoint-8 checkpoint-9'");
    const int at = tn_folder_open(AT_FDCWD, ".");
    ck_assert_int_eq(tn_checkpoint_best(at), 3);
    shell("echo checkpoint-7 >best");
    tn_checkpoint_prune(at, &(tn_run_state){ .step = 9, .run = RUN, .best_step = 7 }, 2);
    shell("test \"$(echo *)\" = 'best checkpoint-7 checkpoint-8 checkpoint-9'");
    static const char *const none[] = { "",
                                        "checkpoint-7",
                                        "checkpoint-07\n",
                                        "a/checkpoint-7\n",
                                        "checkpoint-7\n\n",
                                        "checkpoint-7 \n" };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        put_file(".", "best", none[i]);
        ck_assert_int_eq(tn_checkpoint_best(at), -1);
    }
    close(at);
    close_trial(&t);
}
END_TEST

/* A save or a removal that was interrupted leaves files. The next save of the run removes them. */
START_TEST(what_was_cut_short_is_removed)
{
    trial t = open_trial();
    tn_error e = { 0 };
    shell("a=checkpoint-40.0000000000000007.tmp b=checkpoint-2.0000000000000009.tmp; "
          "mkdir $a $b; echo half >$a/model.safetensors.tenon.tmp; echo x >$b/model.safetensors");
    save(&t, 1, RUN, 0, 1, &e);
    must(&e);
    shell("test \"$(echo *)\" = 'checkpoint-1 checkpoint-2.0000000000000009.tmp'");
    close_trial(&t);
}
END_TEST

/* checkpoint-1 and checkpoint-2 are of run 7, or of run 5, which run 7 replaces; of-9 is of another
   run. `made` is a shell command that changes them. What `names` lists does not belong to these
   runs alone, and stays. */
typedef struct stranger {
    const char *made, *names;
} stranger;

static const stranger strangers[] = {
    { "cp -r checkpoint-1 checkpoint-1-best", "checkpoint-1-best" },
    { "cp -r checkpoint-1 checkpoint-007", "checkpoint-007" },
    { "cp -r checkpoint-1 checkpoint-01", "checkpoint-01" },
    { "cp -r checkpoint-1 checkpoint-+1", "checkpoint-+1" },
    { "cp -r checkpoint-1 checkpoint-3", "checkpoint-3" }, /* its state has step 1 */
    { "cp -r of-9 checkpoint-4", "checkpoint-4" },
    { "mkdir checkpoint-4; echo notes >checkpoint-4/notes.txt", "checkpoint-4" },
    { "echo notes >checkpoint-4", "checkpoint-4" },
    { "mv checkpoint-1 mine; ln -s mine checkpoint-1", "checkpoint-1 mine" },
    { "echo notes >checkpoint-1/notes.txt", "checkpoint-1" },
    { "echo {} >checkpoint-1/tokenizer.json", "checkpoint-1" },
    { "echo {} >checkpoint-2/tokenizer_config.json", "checkpoint-2" },
    { "mkdir checkpoint-2/mine; echo notes >checkpoint-2/mine/notes.txt", "checkpoint-2" },
    { "mkdir checkpoint-2/model.safetensors.tenon.tmp", "checkpoint-2" },
    { "mv checkpoint-1/model.safetensors mine; ln -s ../mine checkpoint-1/model.safetensors",
      "checkpoint-1 mine" },
    { "rm checkpoint-1/trainer_state.json", "checkpoint-1" },
    { "echo >>checkpoint-1/trainer_state.json", "checkpoint-1" },
    { "mkdir home; echo notes >home/notes.txt; ln -s home checkpoint-old.tmp",
      "checkpoint-old.tmp home" },
    { "mkdir home; echo notes >home/notes.txt; ln -s home checkpoint-1.tmp",
      "checkpoint-1.tmp home" },
    { "mkdir home; echo x >home/model.safetensors; ln -s home checkpoint-8.0000000000000007.tmp",
      "checkpoint-8.0000000000000007.tmp home" },
    { "mkdir checkpoint-1.tmp; echo notes >checkpoint-1.tmp/notes.txt", "checkpoint-1.tmp" },
    { "mkdir checkpoint-9.tmp; echo x >checkpoint-9.tmp/model.safetensors", "checkpoint-9.tmp" },
    { "mkdir checkpoint-9.0000000000000007.tmp; echo x >checkpoint-9.0000000000000007.tmp/x",
      "checkpoint-9.0000000000000007.tmp" },
    { "mkdir checkpoint-9.000000000000007.tmp", "checkpoint-9.000000000000007.tmp" },
    { "mkdir checkpoint-9.0000000000000007.tmp.old", "checkpoint-9.0000000000000007.tmp.old" },
};

START_TEST(strangers_stay)
{
    const stranger *s = &strangers[_i];
    char command[512];
    for (int before = 0; before < 2; before++) {
        trial t = open_trial();
        tn_error e = { 0 };
        save(&t, 4, OTHER, 0, 1, &e);
        shell("mv checkpoint-4 of-9");
        for (int64_t k = 1; k <= 2; k++)
            save(&t, k, before ? OLD : RUN, 0, 2, &e);
        must(&e);
        shell(s->made);
        snprintf(command, sizeof command, "mkdir kept; cp -a %s kept", s->names);
        shell(command);
        save(&t, 10, RUN, before ? OLD : 0, 1, &e);
        save(&t, 11, RUN, before ? OLD : 0, 1, &e);
        must(&e);
        snprintf(command, sizeof command,
                 "for n in %s; do diff -r --no-dereference $n kept/$n || exit 1; done", s->names);
        shell(command);
        for (int64_t k = 1; k <= 10; k++) { /* what belongs to the run alone is removed */
            snprintf(command, sizeof command,
                     "test -e kept/checkpoint-%d || ! test -e checkpoint-%d", (int)k, (int)k);
            shell(command);
        }
        close_trial(&t);
    }
}
/* clang-format off */
END_TEST

/* `made` puts something where checkpoint-2 will be saved. It is refused if it is neither of run 7
   nor of run 5. */
typedef struct place { const char *made; bool refused; } place;
/* clang-format on */

static const place places[] = {
    { "", false },
    { "mv of-5 checkpoint-2", false },
    { "mv of-7 checkpoint-2", false },
    { "mv of-9 checkpoint-2", true },
    { "mv of-5 checkpoint-2; echo notes >checkpoint-2/notes.txt", true },
    { "mkdir checkpoint-2; echo notes >checkpoint-2/notes.txt", true },
    { "mkdir checkpoint-2", true },
    { "echo notes >checkpoint-2", true },
    { "mkdir home; echo notes >home/notes.txt; ln -s home checkpoint-2", true },
    { "ln -s of-7 checkpoint-2", true },
    { "ln -s nowhere checkpoint-2", true },
};

START_TEST(only_its_own_are_replaced)
{
    const uint64_t runs[] = { OLD, RUN, OTHER };
    const place *p = &places[_i];
    trial t = open_trial();
    tn_error e = { 0 };
    tn_run_state r = { .run = RUN };
    char command[64];
    for (int i = 0; i < 3; i++) {
        save(&t, 2, runs[i], 0, 1, &e);
        snprintf(command, sizeof command, "mv checkpoint-2 of-%d", (int)runs[i]);
        shell(command);
    }
    must(&e);
    shell(p->made[0] ? p->made : ":");
    shell("cp -a . ../kept.$PPID");
    save(&t, 2, RUN, OLD, 1, &e);
    if (p->refused)
        must_fail(&e, TN_ESTATE, "./checkpoint-2: not of this run");
    must(&e);
    if (p->refused)
        shell("diff -r --no-dereference . ../kept.$PPID");
    else
        tn_checkpoint_load("checkpoint-2", t.params, t.optim, &r, &e);
    must(&e);
    shell("rm -r ../kept.$PPID && ! ls | grep tmp");
    close_trial(&t);
}
END_TEST

/* If a link takes the place of the folder, neither saving nor removing follows it. */
START_TEST(a_link_is_no_folder)
{
    trial t = open_trial();
    tn_error e = { 0 };
    const tn_run_state r = { .step = 1, .run = RUN };
    shell("mkdir home; ln -s home out");
    tn_checkpoint_save("out", t.params, t.optim, &r, 1, &e);
    must_fail(&e, TN_EIO, "out: cannot make this folder: ");
    shell("test -z \"$(ls home)\"");
    close_trial(&t);
}
/* clang-format off */
END_TEST

typedef struct name { const char *name; int64_t number; } name;

static const name names[] = {
    { "checkpoint-0", 0 }, { "checkpoint-12", 12 }, { "a/checkpoint-9/checkpoint-3", 3 },
    { "checkpoint-999999999999999999", 999999999999999999 },
    { "checkpoint-9999999999999999999", -1 }, { "checkpoint-", -1 }, { "checkpoint", -1 },
    { "checkpoint-1/", -1 }, { "checkpoint-1 ", -1 }, { "checkpoint- 1", -1 },
    { "checkpoint--1", -1 }, { "checkpoint-01", -1 }, { "checkpoint-00", -1 },
    { "checkpoint-1.tmp", -1 }, { "checkpoint-0x1", -1 }, { "Checkpoint-1", -1 }, { "", -1 },
};
/* clang-format on */

START_TEST(reads_the_number_of_a_name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_msg(tn_checkpoint_number(names[i].name) == names[i].number, "%s", names[i].name);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, keeps_the_newest);
    tcase_add_test(c, keeps_the_best);
    tcase_add_test(c, what_was_cut_short_is_removed);
    tcase_add_loop_test(c, strangers_stay, 0, sizeof strangers / sizeof *strangers);
    tcase_add_loop_test(c, only_its_own_are_replaced, 0, sizeof places / sizeof *places);
    tcase_add_test(c, a_link_is_no_folder);
    tcase_add_test(c, reads_the_number_of_a_name);
}
