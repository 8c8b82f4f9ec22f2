touch abc a aab axb a.c
printf '%s\n' 'a*c' 'a*' '!a?b' > .dockerignore
