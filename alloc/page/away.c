/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/page/away.h"

uint64_t kn_away_pages;
uint32_t kn_away_marking;
static uint64_t freed;

void kn_away_mark(struct page *head, uint32_t pfn, bool away)
{
	uint8_t *mark = &kn_page(pfn)->away, old;

	if (!away) {
		old = __atomic_fetch_and(mark, (uint8_t)~KN_AWAY_PAGE,
					 __ATOMIC_RELAXED);
		if (old & KN_AWAY_PAGE)
			ck_pr_dec_64(&kn_away_pages);
		return;
	}
	__atomic_fetch_or(&head->away, KN_AWAY_BLOCK, __ATOMIC_RELAXED);
	old = __atomic_fetch_or(mark, KN_AWAY_PAGE, __ATOMIC_RELAXED);
	if (!(old & KN_AWAY_PAGE))
		ck_pr_inc_64(&kn_away_pages);
}

kn_slow void kn_away_forget_slow(struct page *head, uint64_t nr)
{
	const int node = kn_pfn_node(kn_page_pfn(head));
	uint64_t forgotten = 0;

	for (uint64_t i = 0; i < nr; i++)
		if (kn_load(&head[i].away))
			forgotten += __atomic_exchange_n(&head[i].away, 0,
							 __ATOMIC_RELAXED) &
				     KN_AWAY_PAGE;
	ck_pr_sub_64(&kn_away_pages, forgotten);
	__atomic_fetch_or(&freed, 1ull << node, __ATOMIC_RELAXED);
}

uint64_t kn_away_take_freed(void)
{
	if (!kn_load(&freed))
		return 0;
	return __atomic_exchange_n(&freed, 0, __ATOMIC_RELAXED);
}
