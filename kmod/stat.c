// SPDX-License-Identifier: GPL-2.0-only
/* Counters and sysctl of a network namespace. */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/sysctl.h>
#include <net/ip.h>

#include "stat.h"

/* What a path of 300 ms and 400 Mbit/s asks for. */
#define WINDOW_MAX		(16 << 20)
#define CONN_WINDOW_MAX		(256 << 20)
#define RX_MEM_MAX		(256 << 20)

unsigned int kssh_net_id __read_mostly;

static const struct snmp_mib kssh_mib_list[] = {
	SNMP_MIB_ITEM("KsshCurrConn", KSSH_MIB_CURRCONN),
	SNMP_MIB_ITEM("KsshConns", KSSH_MIB_CONNS),
	SNMP_MIB_ITEM("KsshChannels", KSSH_MIB_CHANNELS),
	SNMP_MIB_ITEM("KsshTxBytes", KSSH_MIB_TXBYTES),
	SNMP_MIB_ITEM("KsshRxBytes", KSSH_MIB_RXBYTES),
	SNMP_MIB_ITEM("KsshTxPackets", KSSH_MIB_TXPACKETS),
	SNMP_MIB_ITEM("KsshRxPackets", KSSH_MIB_RXPACKETS),
	SNMP_MIB_ITEM("KsshTxChannelBytes", KSSH_MIB_TXCHANNELBYTES),
	SNMP_MIB_ITEM("KsshRxChannelBytes", KSSH_MIB_RXCHANNELBYTES),
	SNMP_MIB_ITEM("KsshTxAdjust", KSSH_MIB_TXADJUST),
	SNMP_MIB_ITEM("KsshRekeys", KSSH_MIB_REKEYS),
	SNMP_MIB_ITEM("KsshSlowCipher", KSSH_MIB_SLOWCIPHER),
	SNMP_MIB_ITEM("KsshRekeyDue", KSSH_MIB_REKEYDUE),
	SNMP_MIB_ITEM("KsshRekeyStall1ms", KSSH_MIB_REKEYSTALL1MS),
	SNMP_MIB_ITEM("KsshRekeyStall4ms", KSSH_MIB_REKEYSTALL4MS),
	SNMP_MIB_ITEM("KsshRekeyStall16ms", KSSH_MIB_REKEYSTALL16MS),
	SNMP_MIB_ITEM("KsshRekeyStall64ms", KSSH_MIB_REKEYSTALL64MS),
	SNMP_MIB_ITEM("KsshRekeyStall256ms", KSSH_MIB_REKEYSTALL256MS),
	SNMP_MIB_ITEM("KsshRekeyStall1s", KSSH_MIB_REKEYSTALL1S),
	SNMP_MIB_ITEM("KsshRekeyStall4s", KSSH_MIB_REKEYSTALL4S),
	SNMP_MIB_ITEM("KsshRekeyStallMore", KSSH_MIB_REKEYSTALLMORE),
	SNMP_MIB_ITEM("KsshTxWindowShut", KSSH_MIB_TXWINDOWSHUT),
	SNMP_MIB_ITEM("KsshRxWindowGrown", KSSH_MIB_RXWINDOWGROWN),
	SNMP_MIB_ITEM("KsshRxMemLimit", KSSH_MIB_RXMEMLIMIT),
	SNMP_MIB_ITEM("KsshRxReader", KSSH_MIB_RXREADER),
	SNMP_MIB_ITEM("KsshRxWorker", KSSH_MIB_RXWORKER),
	SNMP_MIB_ITEM("KsshRxIgnored", KSSH_MIB_RXIGNORED),
	SNMP_MIB_ITEM("KsshRxDiscarded", KSSH_MIB_RXDISCARDED),
	SNMP_MIB_ITEM("KsshRxThrottled", KSSH_MIB_RXTHROTTLED),
	SNMP_MIB_ITEM("KsshRxNoMem", KSSH_MIB_RXNOMEM),
	SNMP_MIB_ITEM("KsshTxPartial", KSSH_MIB_TXPARTIAL),
	SNMP_MIB_ITEM("KsshBadMac", KSSH_MIB_BADMAC),
	SNMP_MIB_ITEM("KsshBadLength", KSSH_MIB_BADLENGTH),
	SNMP_MIB_ITEM("KsshBadPadding", KSSH_MIB_BADPADDING),
	SNMP_MIB_ITEM("KsshTruncated", KSSH_MIB_TRUNCATED),
	SNMP_MIB_ITEM("KsshWindowOverrun", KSSH_MIB_WINDOWOVERRUN),
	SNMP_MIB_ITEM("KsshWindowOverflow", KSSH_MIB_WINDOWOVERFLOW),
	SNMP_MIB_ITEM("KsshProtocol", KSSH_MIB_PROTOCOL),
	SNMP_MIB_ITEM("KsshHardLimit", KSSH_MIB_HARDLIMIT),
	SNMP_MIB_ITEM("KsshTxError", KSSH_MIB_TXERROR),
};

/* For the tracepoint: the counter's name, or "" for none. */
const char *kssh_mib_name(int mib)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(kssh_mib_list); i++)
		if (kssh_mib_list[i].entry == mib)
			return kssh_mib_list[i].name;
	return "";
}

/* A bucket of the histogram, each four times as wide as the one before. */
void kssh_mib_stall(const struct sock *sk, u64 stall_us)
{
	int mib = KSSH_MIB_REKEYSTALL1MS;
	u64 end = 1000;

	for (; mib < KSSH_MIB_REKEYSTALLMORE && stall_us >= end; end *= 4)
		mib++;
	kssh_mib_inc(sk, mib);
}

/* snmp_fold_field() is not for modules in every kernel */
static unsigned long stat_sum(const struct kssh_net *kn, int mib)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(kn->stats, cpu)->mibs[mib]);
	return sum;
}

static int stat_show(struct seq_file *seq, void *v)
{
	struct kssh_net *kn = kssh_net(seq->private);
	int i;

	for (i = 0; i < ARRAY_SIZE(kssh_mib_list); i++)
		seq_printf(seq, "%-32s\t%lu\n", kssh_mib_list[i].name,
			   stat_sum(kn, kssh_mib_list[i].entry));
	seq_printf(seq, "%-32s\t%lld\n", "KsshRxQueuedMem",
		   percpu_counter_sum_positive(&kn->rx_mem));
	return 0;
}

static const struct ctl_table kssh_table[] = {
	{
		.procname	= "unprivileged_attach",
		.maxlen		= sizeof(int),
		.mode		= 0644,
		.proc_handler	= proc_dointvec_minmax,
		.extra1		= SYSCTL_ZERO,
		.extra2		= SYSCTL_ONE,
	}, {
		.procname	= "window_max",
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec,
	}, {
		.procname	= "conn_window_max",
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec,
	}, {
		.procname	= "rx_mem_max",
		.maxlen		= sizeof(unsigned long),
		.mode		= 0644,
		.proc_handler	= proc_doulongvec_minmax,
	},
};

static int sysctl_init(struct net *net, struct kssh_net *kn)
{
	struct ctl_table *table;

	table = kmemdup(kssh_table, sizeof(kssh_table), GFP_KERNEL);
	if (!table)
		return -ENOMEM;
	table[0].data = &kn->unprivileged_attach;
	table[1].data = &kn->window_max;
	table[2].data = &kn->conn_window_max;
	table[3].data = &kn->rx_mem_max;

	kn->sysctl = register_net_sysctl_sz(net, "net/kssh", table,
					    ARRAY_SIZE(kssh_table));
	if (!kn->sysctl) {
		kfree(table);
		return -ENOMEM;
	}
	return 0;
}

static void sysctl_exit(struct kssh_net *kn)
{
	const struct ctl_table *table = kn->sysctl->ctl_table_arg;

	unregister_net_sysctl_table(kn->sysctl);
	kfree(table);
}

static int __net_init net_init(struct net *net)
{
	struct kssh_net *kn = kssh_net(net);
	int err;

	kn->stats = alloc_percpu(struct kssh_mib);
	if (!kn->stats)
		return -ENOMEM;

	err = percpu_counter_init(&kn->rx_mem, 0, GFP_KERNEL);
	if (err)
		goto err_free;
	kn->window_max = WINDOW_MAX;
	kn->conn_window_max = CONN_WINDOW_MAX;
	kn->rx_mem_max = RX_MEM_MAX;

	err = sysctl_init(net, kn);
	if (err)
		goto err_counter;

	err = -ENOMEM;
	if (!proc_create_net_single("kssh_stat", 0444, net->proc_net,
				    stat_show, NULL))
		goto err_sysctl;
	return 0;

err_sysctl:
	sysctl_exit(kn);
err_counter:
	percpu_counter_destroy(&kn->rx_mem);
err_free:
	free_percpu(kn->stats);
	return err;
}

static void __net_exit net_exit(struct net *net)
{
	struct kssh_net *kn = kssh_net(net);

	remove_proc_entry("kssh_stat", net->proc_net);
	sysctl_exit(kn);
	percpu_counter_destroy(&kn->rx_mem);
	free_percpu(kn->stats);
}

static struct pernet_operations kssh_net_ops = {
	.init = net_init,
	.exit = net_exit,
	.id = &kssh_net_id,
	.size = sizeof(struct kssh_net),
};

int __init kssh_stat_init(void)
{
	return register_pernet_subsys(&kssh_net_ops);
}

void kssh_stat_exit(void)
{
	unregister_pernet_subsys(&kssh_net_ops);
}
