. "$CONTEXTS/links"
printf 'FROM busybox:base\nCOPY . /x/\n' > d2/Other
printf 'u.txt\n' > .dockerignore
printf '%s\n' '*.txt' 'd' > d2/Other.dockerignore
