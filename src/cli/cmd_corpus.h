/* Commands under `rodnik corpus` that have files of their own.  argv[0] is the command's name for
 * messages. */
#ifndef RODNIK_CLI_CMD_CORPUS_H
#define RODNIK_CLI_CMD_CORPUS_H

int command_corpus_language(int argc, char **argv);
int command_corpus_signals(int argc, char **argv);
int command_corpus_decide(int argc, char **argv);
int command_corpus_prove(int argc, char **argv);
int command_corpus_check_proof(int argc, char **argv);
int command_corpus_forget(int argc, char **argv);
int command_corpus_show(int argc, char **argv);
int command_corpus_card(int argc, char **argv);

#endif
