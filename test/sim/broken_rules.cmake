# Rules of the protocol, each broken on purpose in a copy of its source that only sim_broken is made
# from. test/sim/broken.c looks for the seeds that show it.
#
#   break_rule(<name> <seed that finds it> "<what is broken>")
#   break_at(<name> <source under src/> [==[text that stands there once]==] [==[text instead]==])
#
# The text instead may ask BROKEN(name). A text that is not in its source any more, or stands there
# twice, ends the build with a word about it: then the rule has to be broken in another place.

break_rule(quorum 3 "a quorum is 2f")
break_at(quorum consensus/member.c
  [==[p->q = validators_quorum(set->n);]==]
  [==[p->q = BROKEN(quorum) && p->f > 0 ? 2 * p->f : validators_quorum(set->n);]==])
break_at(quorum ledger/certificate.c
  [==[certificate->n < validators_quorum(set->n)]==]
  [==[certificate->n < (BROKEN(quorum) && set->n > 3 ? 2 * validators_f(set->n) : validators_quorum(set->n))]==])

break_rule(new_view_quorum 3 "f + 1 VIEW-CHANGEs make a new view")
break_at(new_view_quorum consensus/new_view.c
  [==[return m->n >= p->q;]==]
  [==[return m->n >= (BROKEN(new_view_quorum) && p->f > 0 ? p->f + 1 : p->q);]==])
break_at(new_view_quorum consensus/new_view.c
  [==[if (m->n < p->q)]==]
  [==[if (m->n < (BROKEN(new_view_quorum) && p->f > 0 ? p->f + 1 : p->q))]==])

break_rule(vote_signature 19 "signatures of votes are not checked")
break_at(vote_signature consensus/vote.c
  [==[if (error != 0) {
        update_note(p, PBFT_NOTE_REFUSED, m.sender, error, m.height, "vote");]==]
  [==[if (error != 0 && !BROKEN(vote_signature)) {
        update_note(p, PBFT_NOTE_REFUSED, m.sender, error, m.height, "vote");]==])

break_rule(view_change_signature 13 "signatures of VIEW-CHANGEs are not checked")
break_at(view_change_signature consensus/view_change.c
  [==[if (error == 0)
        error = verify_tip(p, m, tip_certificate);]==]
  [==[if (error == 0 || BROKEN(view_change_signature))
        error = verify_tip(p, m, tip_certificate);]==])

break_rule(proposal_persisted 3 "a vote is not written before it is sent")
break_at(proposal_persisted consensus/pre_prepare.c
  [==[update_dirty(p, PBFT_SLOT_PROPOSAL);]==]
  [==[if (!BROKEN(proposal_persisted))
        update_dirty(p, PBFT_SLOT_PROPOSAL);]==])

break_rule(prepared_persisted 6 "a prepared certificate is not written")
break_at(prepared_persisted consensus/prepare.c
  [==[update_dirty(p, PBFT_SLOT_PREPARED);]==]
  [==[if (!BROKEN(prepared_persisted))
        update_dirty(p, PBFT_SLOT_PREPARED);]==])

break_rule(view_persisted 3 "a view's leaving is not written")
break_at(view_persisted consensus/view_change.c
  [==[update_dirty(p, PBFT_SLOT_VIEW);]==]
  [==[if (!BROKEN(view_persisted))
        update_dirty(p, PBFT_SLOT_VIEW);]==])

break_rule(sent_before_written 3 "messages are sent before what they promise is written")
break_at(sent_before_written sim/replica.c
  [==[if (point == 0) {]==]
  [==[if (point == 0 && BROKEN(sent_before_written))
        send_messages(sim, replica, update, update->message_count);
    if (point == 0) {]==])

break_rule(choice 94 "a new view proposes the oldest prepared block again, not the newest")
break_at(choice consensus/choose.c
  [==[if (out->again && claim->prepared_view < out->prepared_view)]==]
  [==[if (out->again && (BROKEN(choice) ? claim->prepared_view > out->prepared_view
                                       : claim->prepared_view < out->prepared_view))]==])

break_rule(choice_checked 551 "a NEW-VIEW may begin with anything")
break_at(choice_checked consensus/new_view.c
  [==[if (error == 0 && m->again != choice->again)]==]
  [==[if (error == 0 && BROKEN(choice_checked))
        choice->again = m->again;
    else if (error == 0 && m->again != choice->again)]==])

break_rule(choice_binds 1250 "fresh proposals are taken beside what a view began with")
break_at(choice_binds consensus/pre_prepare.c
  [==[return p->new_view.set && (height]==]
  [==[return !BROKEN(choice_binds) && p->new_view.set && (height]==])

break_rule(prepared_votes 28 "votes in a prepared certificate are not checked")
break_at(prepared_votes consensus/view_change.c
  [==[if (is_to_be_shown(p, m) || !is_known_prepared(p, &certificate))]==]
  [==[if (!BROKEN(prepared_votes) &&
        (is_to_be_shown(p, m) || !is_known_prepared(p, &certificate)))]==])

break_rule(tip_votes 216 "the tip of a VIEW-CHANGE is not checked")
break_at(tip_votes consensus/view_change.c
  [==[return certificate_verify(out, COMMIT_LABEL]==]
  [==[return BROKEN(tip_votes) ? 0 : certificate_verify(out, COMMIT_LABEL]==])

break_rule(block_votes 121 "certificates of fetched blocks are not checked")
break_at(block_votes consensus/catch_up.c
  [==[return certificate_verify(certificate, COMMIT_LABEL]==]
  [==[return BROKEN(block_votes) ? 0 : certificate_verify(certificate, COMMIT_LABEL]==])

break_rule(weak_quorum 95 "one other in a higher view is followed, not f + 1")
break_at(weak_quorum consensus/view_change.c
  [==[if (others >= p->f + 1)]==]
  [==[if (others >= (BROKEN(weak_quorum) ? 1 : p->f + 1))]==])

break_rule(clock 155 "a proposal's time is not held against the clock")
break_at(clock consensus/pre_prepare.c
  [==[(int64_t)p->timing.time_ahead_ms * 1000);]==]
  [==[BROKEN(clock) ? -1 : (int64_t)p->timing.time_ahead_ms * 1000);]==])

break_rule(request_signatures 363 "signatures of proposed requests are not checked")
break_at(request_signatures consensus/pre_prepare.c
  [==[if (!p->votes || knows_requests(p, &proposal->block)) {]==]
  [==[if (BROKEN(request_signatures) || !p->votes || knows_requests(p, &proposal->block)) {]==])

break_rule(once 1 "requests execute as often as they are proposed")
break_at(once ledger/chain_check.c
  [==[if (sender_number_is_used(sender, number))]==]
  [==[if (BROKEN(once))
        return 0;
    if (sender_number_is_used(sender, number))]==])
break_at(once ledger/chain_execute.c
  [==[if (number > sender->lowest) {]==]
  [==[if (BROKEN(once) && sender_number_is_used(sender, number))
        return;
    if (number > sender->lowest) {]==])

break_rule(checkpoint_resent 6 "checkpoint lines are sent once only")
break_at(checkpoint_resent consensus/timer.c
  [==[checkpoint_resend(p, -1);]==]
  [==[if (!BROKEN(checkpoint_resent))
        checkpoint_resend(p, -1);]==])
break_at(checkpoint_resent consensus/status.c
  [==[checkpoint_resend(p, who);]==]
  [==[if (!BROKEN(checkpoint_resent))
        checkpoint_resend(p, who);]==])

break_rule(new_key_told 977 "who has exchanged its key signs with the new one alone")
break_at(new_key_told consensus/status.c
  [==[return is_behind && p->key]==]
  [==[return !BROKEN(new_key_told) && is_behind && p->key]==])

break_rule(follower_lines 2 "members who follow get no checkpoint lines")
break_at(follower_lines consensus/status.c
  [==[if (m->stable_size < p->checkpoint_size &&]==]
  [==[if (!(BROKEN(follower_lines) && who >= VALIDATORS_MAX) &&
        m->stable_size < p->checkpoint_size &&]==])

break_rule(old_quorum 2 "a quorum is that of the genesis, whatever the set is now")
break_at(old_quorum consensus/member.c
  [==[p->validators = *chain_validators_hash(p->chain);]==]
  [==[p->validators = *chain_validators_hash(p->chain);
        if (BROKEN(old_quorum))
            p->q = validators_quorum(chain_genesis(p->chain)->validators.n);]==])

break_rule(checkpoint_set 207782 "lines of a size count for the quorum of the set that came after it")
break_at(checkpoint_set consensus/member.c
  [==[p->set_from = tip_height(p) + 1;]==]
  [==[p->set_from = BROKEN(checkpoint_set) ? 0 : tip_height(p) + 1;]==])

break_rule(checkpoint_lines 18 "checkpoint lines are not checked")
break_at(checkpoint_lines consensus/checkpoint.c
  [==[kept->verified = hash_equal(&kept->root, &checkpoint->root) &&]==]
  [==[kept->verified = BROKEN(checkpoint_lines) ? true : hash_equal(&kept->root, &checkpoint->root) &&]==])
