mkdir sub; printf "FROM busybox:base\nCOPY f /x\n" > sub/My.dockerfile; echo > f
