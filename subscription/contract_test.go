package subscription

import "testing"

// The contract of Subscriptions, as far as it isn't seen through requests (subscription/operate has those): each row
// is called by the words that it proves. What was proved before there was a list of rows is called from here.
func TestContract(t *testing.T) {
	for says, proofs := range map[string][]func(*testing.T){
		"error because a SearchParameter or ValueSet broke the criteria is cleared only by a client's write or by the definition's return": {
			TestMatcher_waitsForADefinitionThatWent, TestMatcher_undecidedCriteriaWaitForTheirTerminology, TestDeliverer_foreignErrorIsNotCleared,
		},
		"matching waits at that place in the log, so nothing is lost":                           {TestMatcher_whatCompilesAgainCatchesUp, TestMatcher_aBrokenSubscriptionHurtsOnlyItself},
		"the breaker opens with the 10th consecutive failure":                                   {TestBreaker_opensWithTheTenthFailureAndProbesAtItsPace},
		"10 failures or 1 h or 3 days, whichever is first":                                      {TestHealth_verdict},
		"only a client's write re-arms it":                                                      {TestCurrents_armedIsTheLastReturnFromOff, TestDeliverer_clientsNewerVersionWinsOverStatus},
		"error from a client means requested; a past end off":                                   {TestGate_ownsStatusAndError},
		"HMAC secret: three URLs":                                                               {TestParse_reads, TestParse_acceptsSeed0},
		"interactions: repeatable, all honoured; event patterns, when present, decide them":     {TestEvents_decideTheInteractions, TestEvents_asDesigned},
		"max attempts (N = N requests), HAPI's retry count (N = N+1 requests) cut either short": {TestDeliverer_maxAttemptsAndHAPIsCountCutEitherLadderShort},
		"subscription-retry: list, or exp:FIRST,FACTOR,CAP,GIVEUP":                              {TestParseLadder},
		"success codes, audit destination, timeout, dialect, signature, order: read and refused": {
			TestParse_refusesWithTheElement, TestDeliverer_auditLogHasALineForEachAttempt,
		},
		"deliver-latest-version sends the newest instead": {TestDeliverer_latestVersionIsSentUnderTheIdentityOfWhatIsOwed, TestDeliverer_latestVersionIsTheOneAtTheAttempt},
		"strip-version-ids":       {TestDeliverer_versionIDsAreStrippedFromTheBodyAlone},
		"subscription-event-name": {TestDeliverer_eventNameOfTheSubscriptionStandsOnTheWire},
		"subscription-trigger: matches default, enters, leaves, changes": {TestParse_readsTriggers, TestParse_refusesTriggers},
		"FHIRPath criteria": {TestMatcher_anExpressionThatCantBeEvaluatedDoesNotHold},
		"send-delete adds delete in any dialect but fhir, where it is 422":     {TestDialects_tableOfRules},
		"order: none, resource (a resource's versions in order), subscription": {TestDeliverer_othersPassABlockedResource, TestDeliverer_poisonFailsAfterItsLadderAndTheNextGoes},
		"Retry-After only lengthens a wait, to 1 h at most":                    {TestDeliverer_retryAfterOnlyLengthensAWaitToOneHourAtMost, TestDeliverer_retryAfterIsHeeded},
		"what is still owed when the lane becomes off stays owed; where both fall due together, off comes first": {
			TestDeliverer_offComesBeforeGivingUp,
		},
		"the give-up clock starts at the first attempt or the first deferral behind a breaker": {
			TestBreaker_deferralStartsTheGiveUpClock, TestDeliverer_brokenForLongerThanTheLadderGivesUpUntried,
		},
		"endpoint, headers, key, dialect and ladder are the Subscription's current ones at each attempt": {TestDeliverer_eachAttemptUsesTheSubscriptionOfItsTime},
	} {
		t.Run(says, func(t *testing.T) {
			for _, proof := range proofs {
				proof(t)
			}
		})
	}
}
