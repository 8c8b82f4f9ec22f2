truncate -s 1M sparse; printf end >> sparse
