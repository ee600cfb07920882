/* SPDX-License-Identifier: Apache-2.0 */
/* gen_conf - prints the commented knuma.conf that is installed */
#include <stdio.h>

#include "tools/knuma/conf_dump.h"

int main(void)
{
	print_default_conf();
	return fflush(stdout) != 0;
}
