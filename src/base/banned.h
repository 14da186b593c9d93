/* Calls that do not compile here: each has a bounded replacement. Include it last. */
#pragma once
#pragma GCC poison strcpy strcat sprintf vsprintf gets system popen strtok tmpnam mktemp
